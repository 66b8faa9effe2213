"""Which paths may be looked for."""

def name_allowed(name: bytes) -> bool:
    """Whether a directory's listing may show this name: it can be asked for, and is not hidden."""
