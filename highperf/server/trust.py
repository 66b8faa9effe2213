"""Says when the server believes anyone on who its clients are, and anyone can reach it.

Owns the words for that. Must not know how trust is used.
"""

import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from highperf.values import Network

_WARNING: Final = (
    "forwarded_allow_ips trusts everyone (%s), and %s can be reached from outside: any client can write the address "
    "that it is known by. Name the proxies instead, unless only they can reach this server."
)


def open_trust(networks: Iterable[Network], listeners: Sequence[socket.socket]) -> str | None:
    """The warning, or None where there is nothing to warn of."""
    everyone = [str(network) for network in networks if network.prefixlen == 0]
    public = [listener for listener in listeners if _is_public(listener)]
    if not everyone or not public:
        return None
    return _WARNING % (", ".join(everyone), " and ".join(dict.fromkeys(_host_of(one) for one in public)))


def _is_public(listener: socket.socket) -> bool:
    return listener.family in (socket.AF_INET, socket.AF_INET6) and not ip_address(_host_of(listener)).is_loopback


def _host_of(listener: socket.socket) -> str:
    host: str = listener.getsockname()[0]
    return host.partition("%")[0]
