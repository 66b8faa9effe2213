"""Every error that highperf raises for its user's sake is a HighperfError."""


class HighperfError(Exception):
    """Base of the errors of this package."""


class RouteConflict(HighperfError, ValueError):
    """Two routes would answer the same request; the message names both."""
