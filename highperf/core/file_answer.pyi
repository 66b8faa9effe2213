from concurrent.futures import Future
from typing import Any, NoReturn, final

from highperf.core.request import Request
from highperf.core.stream import FileHolder
from highperf.files.cache import FileCache
from highperf.files.root import FileRoot
from highperf.wire.response import Response

@final
class FileMount:
    """What is served below one root, in one worker.

    Args:
        root: the directory.
        options: those of :class:`highperf.files.cache.FileCache`.
    """

    def __init__(self, root: FileRoot, **options: Any) -> None: ...
    @property
    def cache(self) -> FileCache:
        """What knows the files."""

async def look_for_file(mount: FileMount, request: Request) -> Response:
    """The answer to a request with what its last path parameter leads to; HTTPError 404 where that is nothing."""

@final
class FileAnswer(FileHolder):
    """One answer with a file, while it waits or is being sent; made by the server."""

    def __init__(self) -> NoReturn: ...
    def looked(self, call: Future[None]) -> None:
        """The thread that looked for the file has ended."""

    def listed(self, call: Future[tuple[str, bytes]]) -> None:
        """The thread that made a directory's listing has ended."""

    def stop(self, reason: str) -> bool:
        """False: this is no handler that could be told."""

    @property
    def unanswered(self) -> bool:
        """Whether somebody waits for the rest."""

    def describe(self) -> str:
        """For people: what is being sent."""
