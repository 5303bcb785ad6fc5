"""A Valkey on this machine for the pods of the cluster."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

from support.servers import Server


class Valkey(Server):
    """Listens where pods can reach it, has a password, and writes every command to its append-only file.

    Args:
        address: this machine's, as pods see it.
    """

    def __init__(self, directory: Path, address: str) -> None:
        super().__init__(
            "valkey",
            directory,
            address=address,
            password=secrets.token_urlsafe(),
            options={"appendfsync": "always"},
        )

    def secret(self, name: str) -> dict[str, Any]:
        """The Secret that a JobQueue's `redis.secretRef` names: its key `url` holds the URL."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {"url": base64.b64encode(self.url.encode()).decode()},
        }
