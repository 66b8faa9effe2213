"""Cython.Coverage, made sure of headers and of processes that run elsewhere.

Cython's plugin learns of a .pxd from the first module that it meets, and looks for it below the
working directory. So the lines of a header-only .pxd depend on the order of imports, and in a
server that a test started in a folder of its own they are taken for those of another file, after
which the data cannot be combined. This one reads the C files of all modules before the first line
is traced, and names their sources by full paths.
"""

from pathlib import Path
from typing import Any

from Cython.Coverage import Plugin as CythonPlugin

TREE = Path(__file__).resolve().parent.parent


class Plugin(CythonPlugin):
    _c_files_map: dict[str, tuple[str, str, dict[int, str]]] | None = None  # type: ignore[assignment]

    def file_tracer(self, filename: str) -> Any:
        self.learn()
        return super().file_tracer(filename)  # type: ignore[no-untyped-call]

    def file_reporter(self, filename: str) -> Any:
        self.learn()
        return super().file_reporter(filename)  # type: ignore[no-untyped-call]

    def learn(self) -> None:
        if self._c_files_map is None:
            self._c_files_map = {}
            for c_file in sorted((TREE / "highperf").rglob("*.c")):
                self.learn_module(self._c_files_map, str(c_file))

    def learn_module(self, known: dict[str, tuple[str, str, dict[int, str]]], c_file: str) -> None:
        for name, lines in self._parse_cfile_lines(c_file).items():  # type: ignore[no-untyped-call]
            path = str(TREE / name)
            joined = dict(known[path][2]) if path in known else {}
            for number, code in lines.items():
                # The line that declares an inline function is hit in the module that has it, not here.
                if not (name.endswith(".pxd") and code.startswith("cdef inline")):
                    joined[number] = code
            known[path] = (c_file, name, joined)


def coverage_init(registry: Any, options: Any) -> None:
    plugin = Plugin()
    registry.add_configurer(plugin)
    registry.add_file_tracer(plugin)
