"""Where everything of the cluster is to be found. There is one cluster in a network, so addresses are fixed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

BRIDGE: Final = "jy0"
#: The host's address on the bridge: API server, node and DNS.
HOST: Final = "10.88.0.1"
#: Where the API server is when there is no node.
LOOPBACK: Final = "127.0.0.1"
PODS: Final = "10.88.0.0/16"
SERVICES: Final = "10.96.0.0/16"
FIRST_SERVICE: Final = "10.96.0.1"
API_PORT: Final = 16443
ETCD_PORT: Final = 16379
NODE: Final = "node-1"


def unique_name(directory: Path) -> str:
    """The name of what a cluster has outside of its directory and its network: on the machine, there may be several."""
    return f"jobyard-{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:8]}"
