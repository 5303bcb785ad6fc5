"""The rules for access control lists that the documentation proposes, so that tests can try them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from support.servers import Kind

_DOCUMENTATION: Final = (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")


def user_rules(kind: Kind, namespace: str) -> list[str]:
    """For the user `jobyard` with the password `secret`."""
    (line,) = [line for line in _DOCUMENTATION.splitlines() if "ACL SETUSER jobyard" in line]
    rules = line.split()[3:]
    if kind == "redis":
        rules = [rule for rule in rules if rule not in ("+waitaof", "+client|setinfo")]
    return [rule.replace("PASSWORD", "secret").replace("jobyard:", f"{namespace}:") for rule in rules]


def cluster_rules() -> list[str]:
    """What the user needs besides, on a Cluster."""
    return _in_backticks(r"On a Cluster add\s+`([^`]*)`")


def sentinel_rules() -> list[str]:
    """What a user of a Sentinel needs."""
    return _in_backticks(r"on the sentinels it needs\s+`([^`]*)`")


def _in_backticks(pattern: str) -> list[str]:
    found = re.search(pattern, _DOCUMENTATION)
    assert found, pattern
    return found[1].split()
