# httptools at its best, to measure the parser against: callbacks of a compiled class, as cheap as
# they can be while they keep what a server needs of a request.

from httptools import HttpRequestParser


cdef class Callbacks:
    cdef public bytes url
    cdef public list headers
    cdef public int complete

    def on_message_begin(self):
        self.headers = []

    def on_url(self, bytes url):
        self.url = url

    def on_header(self, bytes name, bytes value):
        self.headers.append((name, value))

    def on_message_complete(self):
        self.complete += 1


def parse_many(bytes data not None, int times):
    """Parses the same request over and over on one parser, as on one keep-alive connection."""
    cdef Callbacks callbacks = Callbacks()
    parser = HttpRequestParser(callbacks)
    feed = parser.feed_data
    cdef int turn
    for turn in range(times):
        feed(data)
    if callbacks.complete != times:
        raise ValueError("not a complete, valid request")
    return callbacks.headers
