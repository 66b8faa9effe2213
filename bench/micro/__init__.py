"""Parts of the server in process, under pytest-benchmark: see README.md."""
