from highperf.guards.deadlines import TimerOwner

class FileHolder(TimerOwner):
    """Who has a file sent; abstract, and without methods for Python."""

class Stream(TimerOwner):
    """What an answer is given through and a body is drawn from; abstract, and without methods for Python."""
