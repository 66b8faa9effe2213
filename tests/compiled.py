"""Compiles the small .pyx files that tests and benchmarks reach C-level interfaces with.

    probe = compiled.load(pytestconfig, "tests/unit/deadlines_probe.pyx")

The module is compiled against the .pxd files of the tree and kept in pytest's cache under a
hash of everything that it was made from, so only the first run after a change pays for gcc.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
DIRECTIVES = {"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True}


def load(config: pytest.Config, source: str) -> ModuleType:
    """The module made from `source`, a path from the root of the tree."""
    return load_into(config.cache.mkdir("compiled"), source)


def load_into(kept: Path, source: str) -> ModuleType:
    """The same without pytest: `kept` is the folder that compiled modules are kept in."""
    pyx = ROOT / source
    folder = kept / f"{pyx.stem}-{_fingerprint(pyx)}"
    target = folder / (pyx.stem + sysconfig.get_config_var("EXT_SUFFIX"))
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(pyx, target)
    spec = importlib.util.spec_from_file_location(pyx.stem, target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fingerprint(pyx: Path) -> str:
    digest = hashlib.sha256(version("Cython").encode())
    for path in (Path(__file__), pyx, *sorted(ROOT.glob("highperf/**/*.pxd")), *sorted(ROOT.glob("highperf/**/*.h"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(pyx: Path, target: Path) -> None:
    # In a process of its own: setuptools changes the process that it runs in. A sanitizer that
    # is preloaded for the tests has nothing to look for in the compiler.
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, "-W", "ignore", __file__, str(pyx), str(target)]
    made = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"cannot compile {pyx.name}:\n{made.stdout}{made.stderr}")


def main(pyx: str, target: str) -> None:
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    with tempfile.TemporaryDirectory(dir=Path(target).parent) as work:
        extensions = cythonize(
            [Extension(Path(pyx).stem, [pyx], extra_compile_args=["-O2", "-g0"])],
            include_path=[str(ROOT)],
            build_dir=work,
            compiler_directives=DIRECTIVES,
            force=True,
        )
        setup(ext_modules=extensions, script_args=["-q", "build_ext", f"--build-lib={work}", f"--build-temp={work}"])
        # Whole or not at all, whatever other run fills the same cache.
        os.replace(Path(work) / Path(target).name, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
