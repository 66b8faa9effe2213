"""Openat2 by hand; nothing for Python."""
