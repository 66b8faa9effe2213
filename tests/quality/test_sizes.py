"""Nothing grows past what one reader holds in the head."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from tests.quality.source import PACKAGE, ROOT, compiled_modules, compiled_sources, place, python_sources

FILE_LINES = 600
FUNCTION_LINES = 40
STATE_LINES = 80  # a parser's state machine reads better whole
STATE_MACHINES = {"wire/parser.pyx", "wire/chunked.pyx"}
PARAMETERS = 12


def compiled_functions(path: Path) -> Iterator[tuple[str, range]]:
    spec = importlib.util.spec_from_file_location("check_hot_functions", ROOT / "tools" / "check_hot_functions.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    yield from tool.functions(path.read_text())


def python_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(path: Path, lines: range) -> int:
    """How many of the lines hold something besides a comment."""
    text = path.read_text().splitlines()
    return sum(1 for line in lines if (code := text[line - 1].strip()) and not code.startswith("#"))


def without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return range(first.lineno, (node.end_lineno or first.lineno) + 1)


def test_files_are_short() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in [*compiled_sources(), *python_sources()]}
    assert not {place(path, size) for path, size in sizes.items() if size >= FILE_LINES and path.suffix != ".pyi"}


def test_compiled_functions_are_short() -> None:
    long = []
    for path in compiled_modules():
        limit = STATE_LINES if path.relative_to(PACKAGE).as_posix() in STATE_MACHINES else FUNCTION_LINES
        for name, lines in compiled_functions(path):
            if (size := code_lines(path, lines)) > limit:
                long.append(f"{place(path, lines.start)}: {name} has {size} lines")
    assert not long, "\n".join(long)


def test_python_functions_are_short() -> None:
    long = []
    for path in python_sources():
        for node in python_functions(path):
            if (size := code_lines(path, without_docstring(node))) > FUNCTION_LINES:
                long.append(f"{place(path, node.lineno)}: {node.name} has {size} lines")
    assert not long, "\n".join(long)


def test_constructors_take_few_parameters() -> None:
    wide = []
    for path in python_sources():
        for node in python_functions(path):
            count = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs) - 1
            if node.name == "__init__" and count > PARAMETERS:
                wide.append(f"{place(path, node.lineno)}: {count} parameters")
    assert not wide, "\n".join(wide)
