"""What is known of a mount's files, for a second."""

from typing import Self, final

from highperf.files.entry import FileEntry
from highperf.files.root import FileRoot

@final
class FileCache:
    """Finds files by path, and remembers what it found until it is a second old.

    Then it is looked at again: a file whose size, times or inode changed, and one that was written to
    less than a second before it was opened, is opened anew. Files of at most
    content_bytes are kept in memory, larger ones open. What was used least recently makes
    room. For one thread, but for ``warm``.

    Args:
        root: the directory. If it is not confined, paths are the caller's own: they are not
            checked, and directories are never shown.
        index: name of the file that stands for its directory; None: there is none.
        fallback: path of the file that is served where there is none; None: nothing is.
        listing: whether directories without an index are listed.
        cache_control: value of Cache-Control; None: no such field.
        precompressed: whether ``.br``, ``.zst`` and ``.gz`` siblings are used.
        limit_entries: most entries at once; and a quarter as many paths where nothing is.
        limit_descriptors: most descriptors that entries hold.
        limit_bytes: most octets of memory, about, for content and entries.
        content_bytes: what is larger than this is not kept in memory. From about here on sendfile is cheaper
            than send, and below it dearer by up to a third.

    Raises:
        ValueError: index or fallback may not be asked for; cache_control is no field's value; a
            limit is out of bounds.
    """

    def __new__(
        cls,
        root: FileRoot,
        *,
        index: str | None = "index.html",
        fallback: str | None = None,
        listing: bool = False,
        cache_control: str | None = None,
        precompressed: bool = True,
        limit_entries: int = 4096,
        limit_descriptors: int = 256,
        limit_bytes: int = 33_554_432,
        content_bytes: int = 32_768,
    ) -> Self: ...
    @property
    def root(self) -> FileRoot:
        """As given."""
    @property
    def limit_descriptors(self) -> int:
        """As given."""
    @property
    def limit_bytes(self) -> int:
        """As given."""
    @property
    def content_bytes(self) -> int:
        """As given."""
    @property
    def entries(self) -> int:
        """Paths that lead somewhere, and are remembered."""
    @property
    def missing_names(self) -> int:
        """Paths that lead nowhere, and are remembered."""
    @property
    def descriptors(self) -> int:
        """Files that remembered entries hold open."""
    @property
    def held_bytes(self) -> int:
        """Octets of memory that remembered entries take, about."""
    def find(self, path: bytes, now_ns: int, *, waits: bool = True) -> FileEntry:
        """What this path leads to.

        Args:
            path: decoded once, without slash in front; NUL stands for an encoded slash.
            now_ns: monotonic time.
            waits: False gives an entry of kind cold instead of waiting for a disk.
        """
    def warm(self, path: bytes) -> None:
        """Have the system read what ``find`` will need for this path. Blocks; from any thread."""
    def clear(self) -> None:
        """Forget everything. Files that are being sent stay open until they are."""
