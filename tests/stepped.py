"""A copy of guards/keyed that stops before each access to shared memory, so that a test can order them.

module = stepped.load(pytestconfig)
steps, waits = module.Scene(module.KeyedBuckets(...), programs).run(switches)
"""

from types import ModuleType

import pytest

from tests import compiled

KEYED = compiled.ROOT / "highperf" / "guards" / "keyed"
STEPPER = compiled.ROOT / "tests" / "unit" / "keyed_stepper.pyx"
IMPORT = "from highperf.segment cimport LINE_BYTES, Segment, load_word, swap_word\n"


def load(config: pytest.Config) -> ModuleType:
    folder = config.cache.mkdir("stepped")
    code, stepper = KEYED.with_suffix(".pyx").read_text(), STEPPER.read_text()
    assert IMPORT in code
    words, scene = stepper.split("\ncdef struct Act:", 1)
    code = code.replace(IMPORT, "from highperf.segment cimport LINE_BYTES, Segment\n\n" + words)
    folder.joinpath("keyed_stepped.pxd").write_text(KEYED.with_suffix(".pxd").read_text())
    folder.joinpath("keyed_stepped.pyx").write_text(code + "\n\ncdef struct Act:" + scene)
    return compiled.load(config, str(folder / "keyed_stepped.pyx"))
