"""Reads the project's sources for the quality tests."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "highperf"


def compiled_sources() -> list[Path]:
    return sorted(path for suffix in ("pyx", "pxd") for path in PACKAGE.rglob(f"*.{suffix}"))


def python_sources() -> list[Path]:
    return sorted(path for suffix in ("py", "pyi") for path in PACKAGE.rglob(f"*.{suffix}"))


def compiled_modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.pyx"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"
