"""What systemd and a service tell each other: the sockets that it opened, and how the service is.

Owns the variables of that protocol: each is taken out of the environment when it is read, for it is
meant for this process and not for its children.
"""

import os
from collections.abc import MutableMapping
from typing import Final

LISTEN_FDS_START: Final = 3
_COUNT_DIGITS: Final = 4  # what is longer is no count of sockets


def take_listen_fds(environ: MutableMapping[str, str]) -> list[tuple[int, str]]:
    """Number and name of each socket that systemd opened for this process (sd_listen_fds(3)); the name may
    be empty."""
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal() or len(count) > _COUNT_DIGITS:
        return []
    named = names.split(":")
    fds = range(LISTEN_FDS_START, LISTEN_FDS_START + int(count))
    return [(fd, named[index] if index < len(named) else "") for index, fd in enumerate(fds)]
