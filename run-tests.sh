#!/usr/bin/env bash
# The full suite: the tests on the release build, line coverage of Python and Cython (at least
# 90 %), and the micro-benchmarks. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")"

make test
make cov
make bench ARGS=micro
