"""Opening files below a directory, and never one outside of it."""

from os import PathLike
from typing import Self, final

@final
class FileRoot:
    """A directory below which files are opened.

    Whether a path stays inside is for the kernel to say while it opens the file: by openat2 where
    there is one, else component by component without following links. Symbolic links are
    followed as long as they stay inside; an absolute one never does. Only regular files are opened;
    a FIFO, socket or device is looked at and left alone.

    Args:
        path: the directory; it is opened now, so that it may be renamed later, and closed with this object.
        confined: False lets paths lead anywhere, absolute ones too; for code that made the path.
        follow_symlinks: False treats a path with a symbolic link in it as one that is not there.
        openat2: False does without, as on kernels that have none.

    Raises:
        ValueError: path has a NUL in it.
        OSError: path is not there, is no directory, or may not be read and searched.
    """

    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        confined: bool = True,
        follow_symlinks: bool = True,
        openat2: bool = True,
    ) -> Self: ...
    @property
    def path(self) -> str:
        """As given."""
    @property
    def confined(self) -> bool:
        """As given."""
    @property
    def follows(self) -> bool:
        """As given: follow_symlinks."""
    @property
    def walks(self) -> bool:
        """Whether it does without openat2."""
    @property
    def tells(self) -> bool:
        """Whether the kernel says, instead of waiting, that a path has to be read from disk first."""
    def look(self, path: bytes) -> str:
        """What is there: ``file``, ``directory``, ``nothing``, ``forbidden``, ``outside`` (a link leads out),
        ``special``, ``exhausted`` (no descriptor left) or ``failed``.

        The path is relative, without slash at its end; ``b"."`` is the root. Blocks, without the
        interpreter's lock; may be called from any thread, as may the next two.
        """
    def open(self, path: bytes) -> int | None:
        """A descriptor of the regular file at this path, for reading; the caller closes it."""
    def open_directory(self, path: bytes) -> int | None:
        """The same of a directory, for listing it."""
