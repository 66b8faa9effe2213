"""The application's own metrics: what it counts with prometheus_client, summed over all workers.

Owns the directory in which prometheus_client keeps the values of several processes, and the names of the files
in it: by the worker's line on the board instead of the process id, so that a worker that takes another's place
goes on with its counts, and the number of files has a bound. Imports prometheus_client only where the application
has, or a sibling's. Must not know when anybody asks, nor the server's own series.
"""

import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any, Final, cast

from highperf.errors import StartupError

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
END: Final = b"# EOF\n"

_VALUES: Final = "prometheus_client.values"


@contextmanager
def shared_directory() -> Iterator[str]:
    """The directory for the values of a server's processes: the one that the environment names, or a new one,
    which is removed at the end; "" where prometheus_client is not installed. StartupError: it cannot be made."""
    if given := os.environ.get(DIRECTORY):
        try:
            os.makedirs(given, exist_ok=True)
        except OSError as error:
            raise StartupError(f"{DIRECTORY} names no directory that can be used: {error.strerror}.") from None
        yield given
    elif importlib.util.find_spec("prometheus_client") is None:
        yield ""
    else:
        # Not by tempfile: that and what it imports is a megabyte, in each worker.
        directory = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"highperf-metrics-{os.urandom(8).hex()}")
        try:
            os.mkdir(directory, 0o700)
        except OSError as error:
            raise StartupError(f"No directory for metrics can be made, {directory}: {error.strerror}.") from None
        try:
            yield directory
        finally:
            _remove(directory)


def _remove(directory: str) -> None:
    with suppress(OSError):
        for name in os.listdir(directory):
            os.remove(os.path.join(directory, name))
        os.rmdir(directory)


def join(directory: str, line: int) -> None:
    """Keep this process's values there, under the number of its line, should the application come to import
    prometheus_client; where it has imported that already, all stays as it is."""
    if directory and _VALUES not in sys.modules:
        os.environ[DIRECTORY] = directory
        sys.meta_path.insert(0, _Naming(line))


class _Naming:
    """Names the files when the module that opens them is imported, which nobody but the application decides."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._pid = os.getpid()
        self._loader: Any = None

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != _VALUES:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            self._loader, spec.loader = spec.loader, cast(Any, self)  # as far as an import asks
        return spec

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        module.ValueClass = module.MultiProcessValue(self._name)

    def _name(self) -> str:
        pid = os.getpid()
        return str(self._line) if pid == self._pid else f"{self._line}-{pid}"  # a child that the application forked


def forget(directory: str, line: int, pid: int) -> None:
    """That worker has ended: what its live gauges said holds no more."""
    if directory:
        import glob

        for name in (line, f"{line}-*", pid):
            for path in glob.glob(f"{glob.escape(directory)}/gauge_live*_{name}.db"):
                with suppress(OSError):
                    os.remove(path)


def is_used() -> bool:
    """Whether there may be something to show: the application counts here, or in a sibling."""
    if "prometheus_client" in sys.modules:
        return True
    directory = os.environ.get(DIRECTORY)
    if not directory or not os.path.isdir(directory):
        return False
    return any(name.endswith(".db") for name in os.listdir(directory))


def render(*, openmetrics: bool, taken: Collection[str]) -> bytes:
    """The application's metrics as text, but for families of these names, without the end that OpenMetrics has.
    To be called in a thread; whatever a collector of the application raises passes through."""
    families = _Families(taken)
    if openmetrics:
        module: Any = import_module("prometheus_client.openmetrics.exposition")
    else:
        module = import_module("prometheus_client.exposition")
    text: bytes = module.generate_latest(families)
    return text.removesuffix(END)


class _Families:
    """What looks like a registry to prometheus_client's writers."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken

    def collect(self) -> Iterator[Any]:
        source: Any = import_module("prometheus_client").REGISTRY
        values: Any = import_module(_VALUES)
        if getattr(values.ValueClass, "_multiprocess", False):
            source = import_module("prometheus_client.multiprocess").MultiProcessCollector(None)
        return (family for family in source.collect() if family.name not in self._taken)
