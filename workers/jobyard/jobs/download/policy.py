"""Decides what a download may connect to: a host, a port, and the addresses that the host resolved to. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobyard.jobs.download.addresses import Address, Network, embedded_ipv4, is_metadata, why_not_public
from jobyard.jobs.download.errors import DownloadRefused

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the allow-list.

    Attributes:
        target: a host name in lower case, or a network.
        port: the one port that is meant; None: the usual ones.
    """

    target: str | Network
    port: int | None = None

    def covers(self, host: str, address: Address) -> bool:
        if isinstance(self.target, str):
            return host == self.target
        inner = embedded_ipv4(address)
        return address in self.target or (inner is not None and inner in self.target)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be connected to: public addresses on the usual ports, and what the allow-list adds."""

    allow: tuple[Allowed, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})

    def check(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        """Refuse unless every address may be connected to: a name with one bad address is not to be trusted.

        Raises:
            DownloadRefused: says which address, and what to set if it is meant to be reached.
        """
        host = host.rstrip(".").lower()
        for address in addresses:
            self._check_one(host, port, address)

    def _check_one(self, host: str, port: int, address: Address) -> None:
        where = host if host == str(address) else f"{host} ({address})"
        if is_metadata(address):
            raise DownloadRefused(f"{where} is a cloud metadata address, which jobs never download from")
        usual = port in self.ports
        if any(
            entry.covers(host, address) and (usual if entry.port is None else entry.port == port)
            for entry in self.allow
        ):
            return
        kind = why_not_public(address)
        if kind is not None:
            raise DownloadRefused(
                f"{where} is not a public address ({kind}); to let jobs download from there, "
                "add it to JOBYARD_DOWNLOAD_ALLOW"
            )
        if not usual:
            raise DownloadRefused(
                f"{where}: port {port} is not among those that jobs download from "
                f"({', '.join(map(str, sorted(self.ports)))}); see JOBYARD_DOWNLOAD_PORTS and JOBYARD_DOWNLOAD_ALLOW"
            )


def parse_allow(text: str) -> tuple[Allowed, ...]:
    """Read an allow-list: host names and networks separated by commas, each with `:port` if wanted.

    An IPv6 network with a port stands in brackets: `[fd00:1::/32]:8080`.

    Raises:
        ValueError: names the entry that can't be read.
    """
    return tuple(_parse_entry(entry.strip()) for entry in text.split(",") if entry.strip())


def parse_ports(text: str) -> frozenset[int]:
    """Read port numbers separated by commas.

    Raises:
        ValueError: names what is not a port.
    """
    return frozenset(_parse_port(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_entry(entry: str) -> Allowed:
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(\d+))?", entry)
    if bracketed is not None:
        target, port = bracketed.groups()
    elif entry.count(":") == 1:
        target, port = entry.split(":")
    else:
        target, port = entry, None
    try:
        network: str | Network = ipaddress.ip_network(target)
    except ValueError as error:
        network = target.rstrip(".").lower()
        # What looks like a network but isn't one must not pass for a host name.
        if "/" in target or re.fullmatch(r"[\d.]+", target) or not _HOST_NAME.fullmatch(network):
            raise ValueError(f"{entry!r} is neither a host name nor a network: {error}") from None
    return Allowed(network, None if port is None else _parse_port(port))


def _parse_port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return port
