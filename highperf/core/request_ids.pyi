from typing import final

@final
class RequestIds:
    """Ids of one worker's requests: a prefix that no other worker has, and a number."""

    def __init__(self, field: str) -> None:
        """field: its name; empty: ids are neither taken from requests nor told in answers."""
