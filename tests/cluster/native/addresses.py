"""Where everything of the cluster is to be found. There is one cluster a machine, so these are fixed."""

from __future__ import annotations

from typing import Final

BRIDGE: Final = "jy0"
#: The host's address on the bridge: API server, node and DNS.
HOST: Final = "10.88.0.1"
PODS: Final = "10.88.0.0/16"
SERVICES: Final = "10.96.0.0/16"
FIRST_SERVICE: Final = "10.96.0.1"
API_PORT: Final = 16443
API: Final = f"https://{HOST}:{API_PORT}"
ETCD_PORT: Final = 16379
NODE: Final = "node-1"
