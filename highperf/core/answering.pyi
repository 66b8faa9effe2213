from highperf.core.incoming import Incoming

class Answering(Incoming):
    """The half of an HTTP/1.1 connection that writes answers (RFC 9112)."""
