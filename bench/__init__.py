"""How fast highperf is, measured in a way that anyone can repeat; `python -m bench` does it all.

bench.load     whole servers under wrk, next to a C floor and other servers
bench.guards   limits on the real clock, over processes that are killed and stopped
bench.startup  time to the first answer, memory of an idle worker, size of the wheel
bench.parts    all of these, what each needs, and how it is run; figures: what they find, as text and as a file
bench.page     the newest results as one HTML page: sections are its parts, record finds files, hypertext writes HTML
bench.quotes   the figures that README and docs quote, from the newest results
bench/micro    single parts in process, under pytest-benchmark
"""
