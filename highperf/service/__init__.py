"""The reference API, which is served when no application is named."""

from highperf.service.users import create_app

__all__ = ["create_app"]
