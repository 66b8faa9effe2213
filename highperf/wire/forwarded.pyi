"""Reads what proxies say of whom they had a request from. For compiled code: see forwarded.pxd."""
