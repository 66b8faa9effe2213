"""How much a test does of what is done many times."""

import os

TRACED = os.environ.get("HIGHPERF_BUILD") == "cov"


def effort(count: int) -> int:
    """count; a tenth of it on the build that traces lines, where everything takes many times as long."""
    return count // 10 if TRACED else count
