"""Holds the hot functions to their budget of Python operations.

`cython -a` gives each source line a score: how much the C code made from it leans on the Python
C API (the yellow of its pages; 0 is plain C). The score of a function is the sum over its lines.
hot_functions.toml says how much each hot function may have; more than that, or a function that
no longer exists, is a failure. Inline functions in .pxd files have no page: they are kept honest
by `noexcept nogil`, under which Cython refuses every Python operation.

    python tools/check_hot_functions.py [--all]     --all lists every compiled function instead
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "cython-annotate"
LINE = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>[^<]*<span class="[^"]*">0*(\d+)</span>')
BLOCK = re.compile(r"( *)(?:(?:cdef |@)?class (\w+)|(?:async )?(?:cdef|def) [^=]*?(\w+) *\()")


def annotate() -> None:
    # Cython works while setup.py puts its arguments together, so the mildest command will do.
    env = os.environ | {"HIGHPERF_BUILD": "annotate"}
    command = [sys.executable, "setup.py", "-q", "--version"]
    if subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit("highperf does not compile")


def functions(source: str) -> Iterator[tuple[str, range]]:
    """Yields (qualified name, line numbers) of every function of a .pyx file, nested ones included."""
    lines = source.splitlines()
    open_blocks: list[tuple[int, str, int, bool]] = []  # indent, name, first line, is a function
    for number, line in enumerate([*lines, "end"], 1):
        text = line.lstrip()
        indent = len(line) - len(text)
        if not text or text.startswith(("#", ")")):
            continue
        while open_blocks and indent <= open_blocks[-1][0]:
            _, name, first, is_function = open_blocks.pop()
            if is_function:
                yield ".".join([*(block[1] for block in open_blocks), name]), range(first, number)
        if (match := BLOCK.match(line)) and not text.startswith("cdef extern"):
            open_blocks.append((indent, match[2] or match[3], number, match[2] is None))


def scores(module: str) -> dict[str, int]:
    path = Path(*module.split("."))
    page = (PAGES / path).with_suffix(".html").read_text()
    by_line = {int(number): int(score) for score, number in LINE.findall(page)}
    source = (ROOT / path).with_suffix(".pyx").read_text()
    return {name: sum(by_line.get(line, 0) for line in lines) for name, lines in functions(source)}


def list_all() -> None:
    for path in sorted((ROOT / "highperf").rglob("*.pyx")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        print(f'\n["{module}"]')
        for name, score in scores(module).items():
            print(f'"{name}" = {score}')


def main() -> int:
    annotate()
    if "--all" in sys.argv[1:]:
        list_all()
        return 0
    failures = 0
    checked = 0
    for module, budgets in tomllib.loads((ROOT / "tools" / "hot_functions.toml").read_text()).items():
        found = scores(module)
        for name, budget in budgets.items():
            checked += 1
            score = found.get(name)
            if score is None:
                print(f"{module}: {name} is in tools/hot_functions.toml and no longer in the source")
                failures += 1
            elif score > budget:
                print(f"{module}: {name} scores {score}, its budget is {budget}")
                failures += 1
    print(f"{checked - failures} of {checked} hot functions are within their budget")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
