"""Builds a flavour of highperf in a copy of the tree and runs tests on it there.

    python tools/flavour.py FLAVOUR [ARGUMENTS OF PYTEST, OR OF python -m fuzz]

FLAVOUR is debug, asan, fuzz or cov (setup.py says what each means). The copy lies in build/FLAVOUR, so
the release build in the working tree is never disturbed, and a second run compiles only what
changed.
"""

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ".copied"
PYTEST = [sys.executable, "-m", "pytest", "-m", "not release_build"]


def project_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def copy_tree(tree: Path) -> bool:
    """Brings the copy up to date; says whether setup.py, and so every compiler option, may have changed."""
    names = project_files()
    manifest = tree / MANIFEST
    for name in set(manifest.read_text().split("\n") if manifest.exists() else []) - set(names):
        gone = tree / name
        gone.unlink(missing_ok=True)
        for extension in gone.parent.glob(f"{gone.stem}.*.so") if gone.suffix == ".pyx" else []:
            extension.unlink()
    rebuild = False
    for name in names:
        source, target = ROOT / name, tree / name
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)  # as of now: newer than what was made of the one before
            rebuild = rebuild or name == "setup.py"
    manifest.write_text("\n".join(names))
    return rebuild


def build(tree: Path, flavour: str, *, force: bool) -> None:
    env = os.environ | {"HIGHPERF_BUILD": flavour}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    if force:
        env["CYTHON_FORCE_REGEN"] = "1"
        command.append("--force")
    if subprocess.run(command, cwd=tree, env=env).returncode:
        raise SystemExit(f"the {flavour} flavour does not build")


def compiler() -> str:
    return os.environ.get("CC", "gcc")


def runtime_library(name: str) -> str:
    path = subprocess.run([compiler(), f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout
    if not Path(path.strip()).is_absolute():
        raise SystemExit(f"{compiler()} has no {name}: install its sanitizer libraries")
    return path.strip()


def run_debug(tree: Path, env: dict[str, str], arguments: list[str]) -> int:
    # An assert of highperf/checks.pxd tells stderr and ends the process: pytest must leave that alone.
    env |= {"PYTHONDEVMODE": "1"}
    return subprocess.run([*PYTEST, "--capture=sys", *arguments], cwd=tree, env=env).returncode


def sanitizers(*more: str, **options: object) -> dict[str, str]:
    # The interpreter itself is not instrumented, so the sanitizers come in by preloading, and
    # objects must come from malloc, which they watch.
    options |= {
        "detect_leaks": 0,  # CPython keeps much until the end
        "allow_user_segv_handler": 0,
        "allocator_may_return_null": 1,  # as malloc does, so that MemoryError can be tested
    }
    return {
        "LD_PRELOAD": " ".join([runtime_library("libasan.so"), runtime_library("libubsan.so"), *more]),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": ":".join(f"{name}={value}" for name, value in options.items()),
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def run_asan(tree: Path, env: dict[str, str], arguments: list[str]) -> int:
    # The address sanitizer reports to files, so that the report of a server that a test started is
    # not missed; the other one knows only stderr, which pytest must therefore leave alone.
    reports = tree / "sanitizer"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    env |= sanitizers(log_path=reports / "report")
    code = subprocess.run([*PYTEST, "-p", "no:faulthandler", "--capture=sys", *arguments], cwd=tree, env=env).returncode
    texts = [report.read_text(errors="replace") for report in sorted(reports.iterdir())]
    errors = [text for text in texts if "ERROR: " in text]  # a refused allocation is only a warning
    print(*errors, sep="\n")
    print(f"{len(errors)} sanitizer report(s)")
    return code or len(errors)


def run_fuzz(tree: Path, env: dict[str, str], arguments: list[str]) -> int:
    edges = tree / "build" / "edges.so"
    made = subprocess.run([compiler(), "-O2", "-Wall", "-shared", "-fPIC", "-o", edges, tree / "fuzz" / "edges.c"])
    if made.returncode:
        raise SystemExit("the counter of edges does not build")
    env |= sanitizers(str(edges)) | {"PYTHONHASHSEED": "0"}
    kept: list[str | Path] = ["--crashes", ROOT / "tests" / "data" / "crashes", "--corpus", ROOT / "build" / "corpus"]
    kept += ["--record", ROOT / "build" / "fuzz.json"]
    return subprocess.run([sys.executable, "-m", "fuzz", *kept, *arguments], cwd=tree, env=env).returncode


def run_cov(tree: Path, env: dict[str, str], arguments: list[str]) -> int:
    def coverage(*command: str) -> int:
        return subprocess.run([sys.executable, "-m", "coverage", *command], cwd=tree, env=env).returncode

    coverage("erase")
    code = coverage("run", *PYTEST[1:], *arguments)
    coverage("combine", "-q")
    coverage("html", "-q", "--fail-under=0", "-d", str(ROOT / "htmlcov"))
    report = coverage("report")
    return code or report


RUNNERS: dict[str, Callable[[Path, dict[str, str], list[str]], int]] = {
    "debug": run_debug,
    "asan": run_asan,
    "fuzz": run_fuzz,
    "cov": run_cov,
}


def prepare(flavour: str) -> Path:
    """The copy, as the working tree is now, with its extensions built."""
    tree = ROOT / "build" / flavour
    tree.mkdir(parents=True, exist_ok=True)
    build(tree, flavour, force=copy_tree(tree))
    return tree


def run(flavour: str, arguments: list[str]) -> int:
    """Runs what the flavour is for, on what stands in its copy."""
    tree = ROOT / "build" / flavour
    env = os.environ | {"PYTHONPATH": str(tree), "HIGHPERF_BUILD": flavour}
    return RUNNERS[flavour](tree, env, arguments)


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in RUNNERS:
        print(f"usage: {sys.argv[0]} {{{','.join(RUNNERS)}}} [ARGUMENTS]", file=sys.stderr)
        return 2
    prepare(sys.argv[1])
    return run(sys.argv[1], sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
