"""Which network addresses the portal may be sent to by an address somebody typed.

Whoever may name an address could otherwise read what only this machine can reach: its own services, the neighbours'
and the cloud's metadata (server-side request forgery, CWE-918).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["is_public"]

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 as seen from a network that has only IPv6 (RFC 6052 §2.1)."""
OF_THE_CLOUD = frozenset({IPv4Address("168.63.129.16")})
"""Public by number, but answered by the host the machine runs on (Azure)."""


def is_public(text: str, *, loopback: bool = False) -> bool:
    """Tell whether an IP address is one everybody can reach. With `loopback`, this machine's own count as well."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in NAT64:
            address = IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
    if loopback and address.is_loopback:
        return True
    return address.is_global and not address.is_multicast and address not in OF_THE_CLOUD
