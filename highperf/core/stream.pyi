from typing import final

from highperf.guards.deadlines import TimerOwner
from highperf.wire.response import ResponseHeaders

class FileHolder(TimerOwner):
    """Who has a file sent; abstract, and without methods for Python."""

@final
class Canned:
    """An answer that is given over and over.

    Args:
        fields: its fields, which do not change any more; Content-Type is among them.
    """

    def __init__(self, fields: ResponseHeaders) -> None: ...

class Stream(TimerOwner):
    """What an answer is given through and a body is drawn from; abstract, and without methods for Python."""
