"""Which network addresses the portal may be sent to by an address somebody typed.

Whoever may name an address could otherwise read what only this machine can reach: its own services, the neighbours'
and the cloud's metadata (server-side request forgery, CWE-918).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["is_public"]

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 as seen from a network that has only IPv6 (RFC 6052 §2.1)."""
GLOBAL = IPv6Network("2000::/3")
"""All of IPv6 that reaches everybody (RFC 4291 §2.4); elsewhere lie a site's own translators to IPv4 (RFC 8215, RFC 7915)."""
DOCUMENTATION = IPv6Network("3fff::/20")
"""Nobody's (RFC 9637), which the library does not know yet."""
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
        elif not (loopback and address.is_loopback) and not _reaches_all(address):
            return False
    if loopback and address.is_loopback:
        return True
    return address.is_global and not address.is_multicast and address not in OF_THE_CLOUD


def _reaches_all(address: IPv6Address) -> bool:
    """Tell whether an IPv6 address lies where everybody's lie, and leads to no IPv4 behind it."""
    hidden = address.sixtofour is not None or address.teredo is not None
    return address in GLOBAL and address not in DOCUMENTATION and not hidden
