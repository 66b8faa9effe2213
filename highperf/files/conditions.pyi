"""Conditional requests; nothing for Python."""
