"""The decoder of chunked bodies (RFC 9112 section 7.1). For compiled code: see chunked.pxd."""
