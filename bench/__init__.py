"""How fast highperf is, measured in a way that anyone can repeat; `python -m bench` does it all.

bench.load     whole servers under wrk, next to a C floor and other servers
bench.guards   limits on the real clock, over processes that are killed and stopped
bench.startup  time to the first answer, memory of an idle worker, size of the wheel
bench/micro    single parts in process, under pytest-benchmark
"""
