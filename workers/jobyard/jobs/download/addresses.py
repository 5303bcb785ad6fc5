"""Which IP addresses belong to the public internet. Pure: takes an address, says what is wrong with it.

The table follows the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates). It stands
here instead of `ipaddress`'s `is_global`, whose answers differ between Python releases.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where clouds serve a machine's credentials. The first four are link-local or private, the last is in public space.
METADATA: Final[frozenset[Address]] = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)

_NOT_PUBLIC_IPV4: Final = [
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
]

# For better messages only: everything outside 2000::/3 is refused anyway.
_NAMED_IPV6: Final = [
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
]

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6: Final = [
    (IPv6Network(network), kind)
    for network, kind in (
        # Teredo and 6to4 carry an IPv4 address inside. Both are out of use; nobody serves anything honest from there.
        ("2001::/32", "Teredo tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4 tunnel"),
        ("3fff::/20", "documentation"),
    )
]
_NAT64: Final = IPv6Network("64:ff9b::/96")


def embedded_ipv4(address: Address) -> IPv4Address | None:
    """The IPv4 address that is really reached by an IPv4-mapped (::ffff:0:0/96) or NAT64 (64:ff9b::/96) address."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    # Networks with DNS64 show the whole IPv4 internet so; the address inside decides.
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def why_not_public(address: Address) -> str | None:
    """What kind of address it is, if it's not a public one ("private", "loopback", …); None: it is public."""
    inner = embedded_ipv4(address)
    if inner is not None:
        return why_not_public(inner)
    if is_metadata(address):
        return "cloud metadata"
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _NOT_PUBLIC_IPV4 if address in network), None)
    if address not in _GLOBAL_UNICAST:
        return next((kind for network, kind in _NAMED_IPV6 if address in network), "reserved")
    return next((kind for network, kind in _NOT_PUBLIC_IPV6 if address in network), None)


def is_metadata(address: Address) -> bool:
    """Whether a cloud serves credentials at this address, or at the one that is inside it."""
    return (embedded_ipv4(address) or _without_scope(address)) in METADATA


def _without_scope(address: Address) -> Address:
    # "fe80::1%eth0" is not equal to "fe80::1".
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address
