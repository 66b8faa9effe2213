"""The table of routes that routers are compared by: in turns without and with a parameter, and none a prefix of another
up to its last segment. ROUTES in the environment says how many; apps/go_nethttp has the same.

Those without answer "ok", the others what stands for id.
"""

import os
from collections.abc import Iterator

COUNT = int(os.environ.get("ROUTES", "0"))


def table(parameter: str, count: int = COUNT) -> Iterator[str]:
    """Paths; parameter is how id is written: ":id" or "{id}"."""
    for number in range(count):
        path = f"/v1/area{number // 100}/thing{number}"
        yield f"{path}/{parameter}" if number % 2 else path
