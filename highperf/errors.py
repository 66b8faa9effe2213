"""Every error that highperf raises for its user's sake is a HighperfError."""


class HighperfError(Exception):
    """Base of the errors of this package."""


class ProtocolError(HighperfError):
    """The peer broke the rules of HTTP: `status` answers it, `reason` says in plain words what was wrong."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.status})"


class RouteConflict(HighperfError, ValueError):
    """Two routes would answer the same request; the message names both."""


class ConfigError(HighperfError, ValueError):
    """A setting or a declaration that cannot be used; the command line says it in one line and exits with 2."""


class StartupError(HighperfError):
    """The application or its address is not to be had; the command line says it in one line and exits with 3.

    `details` goes before that line: the traceback of the user's own code, where that raised.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
