from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import final

@final
class TrustedProxies:
    """Whose word on a request's client is believed, compiled to ranges of integers.

    Args:
        networks: those whose addresses are trusted, in any order; none: nobody is.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None: ...
    def __contains__(self, address: str, /) -> bool:
        """Whether the address is trusted; an IPv4 address may be spelled as IPv6 (``::ffff:192.0.2.1``).

        Raises:
            ValueError: it is no IP address.
        """
