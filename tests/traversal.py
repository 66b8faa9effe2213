"""A tree with secrets beside and within it, and paths that try to reach them.

What may be served begins with PUBLIC, all else with SECRET, so that a leak shows wherever it
comes from.
"""

import os
import socket
import stat
from collections.abc import Iterator
from itertools import product
from pathlib import Path

PUBLIC = b"PUBLIC"
SECRET = b"SECRET"

FILES = {
    "root/hello.txt": PUBLIC,
    "root/index.html": PUBLIC,
    "root/sub/index.html": PUBLIC,
    "root/sub/inner.txt": PUBLIC,
    "root/sub/deeper/last.txt": PUBLIC,
    "root/bare/only.txt": PUBLIC,
    "root/with space.txt": PUBLIC,
    "root/%2e%2e/odd.txt": PUBLIC,
    "root/....txt.d/x.txt": SECRET,  # begins with a dot
    "root/.well-known/security.txt": PUBLIC,
    "root/.well-known/.hidden": SECRET,
    "root/sub/.well-known/inner": SECRET,
    "root/.env": SECRET,
    "root/.git/config": SECRET,
    "root/sub/.htpasswd": SECRET,
    "root/back\\slash.txt": SECRET,
    "secret.txt": SECRET,
    "rootx.txt": SECRET,
    "root_old/secret.txt": SECRET,
    "root.bak": SECRET,
    "sub/inner.txt": SECRET,
    "etc/passwd": SECRET,
}
LINKS_IN = {
    "root/link_in.txt": "hello.txt",
    "root/sub/link_up.txt": "../hello.txt",
    "root/dir_in": "sub",
    "root/sub/round": "../sub/deeper/..",
}
LINKS_OUT = {
    "root/link_out.txt": "../secret.txt",
    "root/link_prefix.txt": "../root_old/secret.txt",
    "root/dir_out": "..",
    "root/dir_old": "../root_old",
    "root/sub/up_and_up": "../../secret.txt",
    "root/sub/through": "../dir_out",
    "root/proc": "/proc/self/root",
    "root/self": "/proc/self/cwd",
    "root/passwd": "/etc/passwd",
    "root/loop": "loop",
    "root/loop_a": "loop_b",
    "root/loop_b": "loop_a",
    "root/dangling": "nowhere",
}


def make_tree(base: Path) -> Path:
    """Makes the tree below base; returns the root that is served."""
    for name, content in FILES.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + f": {name}".encode())
    for name, target in (LINKS_IN | LINKS_OUT).items():
        (base / name).symlink_to(target)
    root = base / "root"
    (root / "absolute.txt").symlink_to(base / "secret.txt")
    (root / "absolute_in.txt").symlink_to(root / "hello.txt")
    os.mkfifo(root / "fifo")
    _make_socket(root / "socket")
    if os.geteuid() == 0:
        try:
            os.mknod(root / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pass
    return root


def _make_socket(path: Path) -> None:
    # By a descriptor of its directory, for the names of sockets are short.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


# ---- the paths --------------------------------------------------------------------------------------

DOTS = [
    "..", ".", "...", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%252e%252e", "%25252e%25252e", "%%32%65%%32%65",
    "%c0%ae%c0%ae", "%C0%AE%c0%ae", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae%f0%80%80%ae", "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5", "%u002e%u002e", "..;", "..;x=y", "..%00", "..%20", "..%09", "..%0a", "..%0d", ".. ", "..%a0",
    "..%ff", "..::$DATA", "..%e2%80%8b", "%e2%80%8b..", ".%00.", ".%5c.", "%ed%a0%80..",
]  # fmt: skip
SLASHES = [
    "/", "//", "///", "%2f", "%2F", "%252f", "%25252f", "\\", "%5c", "%5C", "%255c", "\\/", "/\\", "%5c%2f",
    "%c0%af", "%C0%AF", "%e0%80%af", "%f0%80%80%af", "%c1%9c", "%ef%bc%8f", "%ef%bc%bc", "%e2%88%95", "/./",
    "/.//", ";/", "/;/", "%3b/", "%00/", "/%00", "%20/", "?/", "%3f/", "%23/", "%u2215", "/%2e/", "%0d%0a/",
]  # fmt: skip
STARTS = ["", "/", "sub/", "sub//", "sub/deeper/", "hello.txt/", "missing/", "dir_in/", ".well-known/", "%2e%2e/"]
GOALS = ["secret.txt", "rootx.txt", "root_old/secret.txt", "root.bak", "etc/passwd", "root/.env", "root/hello.txt"]
ENDS = ["", "/", "%00", "%00.txt", ".", "%2e", "%20", "::$DATA", ";.txt", "?", "%3f", "%23", "~", "/.", "/..", "%0a"]


def climbing() -> Iterator[str]:
    """Every spelling of dots with every spelling of slashes, from several places to several goals."""
    for number, (dots, slash) in enumerate(product(DOTS, SLASHES)):
        for step in (dots + slash, (dots + slash) * (2 + number % 7)):
            start, goal = STARTS[number % len(STARTS)], GOALS[number % len(GOALS)]
            yield start + step + goal
            yield step + GOALS[(number + 1) % len(GOALS)] + ENDS[number % len(ENDS)]


def inside() -> Iterator[str]:
    """Names that are there and may not be had, and names that are nearly those that may."""
    names = [name.removeprefix("root/") for name in [*FILES, *LINKS_OUT] if name.startswith("root/")]
    names += ["absolute.txt", "fifo", "socket", "device", "dir_out/secret.txt", "dir_old/secret.txt", "proc/etc/passwd"]
    names += ["dir_out/root/hello.txt", "sub/through/secret.txt", "self/setup.py", "loop/x", "dir_in/../hello.txt"]
    for name, end in product(names, ENDS):
        yield name + end
    for name in names:
        yield name.upper()
        yield name.swapcase()
        yield "".join(f"%{octet:02x}" for octet in name.encode())
        yield "".join(f"%{octet:02X}" if index % 2 else chr(octet) for index, octet in enumerate(name.encode()))
        yield "".join(f"%25{octet:02x}" for octet in name.encode())
        yield name.replace("/", "%2f")
        yield name.replace("/", "//")
        yield name.replace("/", "\\")
        yield name.replace(".", "%2e")
        yield name.replace("/", "/;x/")


def absolute() -> Iterator[str]:
    for goal, slash in product([*GOALS, "proc/self/environ", "dev/null", "etc/shadow"], SLASHES):
        yield slash + goal
        yield f"file:{slash}{slash}{goal}"
        yield f"C:{slash}{goal}"
        yield f"{slash}{slash}localhost{slash}share{slash}{goal}"
    yield from ("con", "nul", "aux.txt", "COM1", "lpt1:", "hello.txt:stream", "hello~1.txt", "HELLO.TXT")
    yield from ("a" * 255, "a" * 256, "a/" * 2048, "a/" * 2049, "a/" * 5000, "%61" * 4096, "../" * 1300 + "etc/passwd")


def payloads() -> list[str]:
    """What follows the mount's slash in a request's target, before it is decoded; without duplicates."""
    return list(dict.fromkeys([*climbing(), *inside(), *absolute()]))
