"""What ``app.files`` declares: a directory, and how it is shown.

Owns the checking of it where it is declared, and the opening of the directory when a server starts.
Must not know routes; what a request is answered with is decided in files and core.
"""

from dataclasses import dataclass

from highperf.core.file_answer import FileMount
from highperf.errors import ConfigError, StartupError
from highperf.files.root import FileRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """The arguments of ``app.files``, checked."""

    place: str  # how the declaration is called in a message
    root: str  # absolute
    index: str | None
    fallback: str | None
    listing: bool
    cache_control: str | None
    precompressed: bool
    follow_symlinks: bool

    def __post_init__(self) -> None:
        try:
            self._mount(FileRoot("/"))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.place}: {error}") from None

    def open(self) -> FileMount:
        """For one worker. StartupError where the directory is not to be had."""
        try:
            root = FileRoot(self.root, follow_symlinks=self.follow_symlinks)
        except OSError as error:
            raise StartupError(f"Cannot serve {self.place} from {self.root}: {error.strerror}.") from None
        return self._mount(root)

    def _mount(self, root: FileRoot) -> FileMount:
        return FileMount(
            root,
            index=self.index,
            fallback=self.fallback,
            listing=self.listing,
            cache_control=self.cache_control,
            precompressed=self.precompressed,
        )
