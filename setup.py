"""The extension modules and their build flavours; everything else stands in pyproject.toml.

HIGHPERF_BUILD picks the flavour:
  release   (default) -O2, no debug symbols, every Cython check off
  debug     Cython's bounds and initialization checks and the asserts of highperf/checks.pxd on, little optimization
  asan      debug plus address and undefined-behaviour sanitizers, errors at .pyx lines
  fuzz      asan plus a call at every edge, which fuzz/edges.c counts
  cov       line tracing for Cython.Coverage
  annotate  release, but only Cython's C files and annotated pages in build/cython-annotate
  none      no extensions at all: for an editable install of modules that stand in place already
Cython's warnings are errors in every flavour but release, so that no user's build stops at a new one.
"""

import multiprocessing
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from Cython.Compiler.Errors import CompileError
from setuptools import Extension, setup

FLAVOURS = ("release", "debug", "asan", "fuzz", "cov", "annotate", "none")
flavour = os.environ.get("HIGHPERF_BUILD", "release")
if flavour not in FLAVOURS:
    raise SystemExit(f"HIGHPERF_BUILD={flavour!r}: expected one of {', '.join(FLAVOURS)}")

jobs = os.cpu_count() or 1
sanitized = flavour in ("asan", "fuzz")
checked = sanitized or flavour in ("debug", "cov")
directives = {
    "language_level": 3,
    "boundscheck": checked,
    "wraparound": False,
    "initializedcheck": checked,
    "nonecheck": False,  # on, it refuses every nogil function that is given an object
    "cdivision": True,
    "auto_pickle": False,
    "autotestdict": False,
    "embedsignature": False,
    "linetrace": flavour == "cov",
}
macros: list[tuple[str, str]] = [("HP_CHECKED", "1")] if checked else []
compile_args = ["-Wall", "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unreachable-code"]
link_args = []
if not checked:
    compile_args += ["-O2", "-g0"]
    if sys.platform == "linux":
        compile_args += ["-fno-plt"]
        link_args += ["-Wl,-z,noseparate-code"]  # two mappings of a module, not four: 0.3 MB over all that are loaded
elif flavour == "debug":
    compile_args += ["-O1", "-g"]
    macros += [("HP_PORTABLE", "1")]  # scans without SSE2
elif sanitized:
    # Python's own -fwrapv would hide signed overflow.
    compile_args += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-fno-wrapv"]
    link_args += ["-fsanitize=address,undefined"]
    if flavour == "fuzz":
        compile_args += ["-fsanitize-coverage=trace-pc"]
else:
    compile_args += ["-O0", "-g0"]
    macros += [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]


def extension(path: Path) -> Extension:
    return Extension(
        ".".join(path.with_suffix("").parts),
        [path.as_posix()],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


sources = [] if flavour == "none" else sorted(Path("highperf").rglob("*.pyx"))

# Cython's workers must inherit Options and must not run this file again.
multiprocessing.set_start_method("fork", force=True)
Options.warning_errors = flavour != "release"

try:
    modules = cythonize(
        [extension(path) for path in sources],
        compiler_directives=directives,
        annotate=flavour == "annotate",
        emit_linenums=sanitized or flavour == "debug",  # reports name .pyx lines
        nthreads=jobs,
        build_dir=None if flavour == "cov" else f"build/cython-{flavour}",  # Cython.Coverage wants .c beside .so
    )
except CompileError as error:
    raise SystemExit(f"Cython refused {error}") from None

setup(ext_modules=modules, options={"build_ext": {"parallel": jobs}})
