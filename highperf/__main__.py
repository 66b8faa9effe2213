"""python -m highperf is highperf-serve."""

from highperf.cli import main

main()
