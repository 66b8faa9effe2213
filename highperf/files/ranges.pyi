"""Byte ranges of a request; nothing for Python."""
