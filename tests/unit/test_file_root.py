"""FileRoot: what it opens, and what it says of the rest."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from highperf.files.root import FileRoot
from tests import compiled

NOBODY = 65534


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.fixture(params=[True, False], ids=["kernel", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> FileRoot:
    return FileRoot(tmp_path, openat2=request.param)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody to whom permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def without_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_root_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        FileRoot(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")


def test_root_must_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        FileRoot(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_root_must_be_readable(tmp_path: Path, mode: int) -> None:
    # By a descriptor of its parent, which the unprivileged cannot reach by name.
    tmp_path.chmod(0o755)
    (tmp_path / "root").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "root", NOBODY, -1)
    (tmp_path / "root").chmod(mode)
    parent = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with unprivileged(), pytest.raises(PermissionError):
            FileRoot(f"/proc/self/fd/{parent}/root")
    finally:
        os.close(parent)
        (tmp_path / "root").chmod(0o700)


def test_kernel_way_is_taken_where_there_is_one(tmp_path: Path) -> None:
    assert FileRoot(tmp_path, openat2=False).walks
    assert not FileRoot(tmp_path, openat2=False).tells


def test_what_there_is(root: FileRoot, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "inner").touch()
    os.mkfifo(tmp_path / "fifo")
    expected = {
        b".": "directory",
        b"file": "file",
        b"dir": "directory",
        b"dir/inner": "file",
        b"dir/../file": "file",
        b"dir/./inner": "file",
        b"dir//inner": "file",
        b"fifo": "special",
        b"fifo/": "nothing",
        b"fifo/x": "nothing",
        b"missing": "nothing",
        b"missing/x": "nothing",
        b"file/x": "nothing",
        b"file/": "nothing",
        b"a" * 300: "nothing",
        b"a/" * 3000: "nothing",
        b"": "nothing",
        b"fi\0le": "nothing",
        b"..": "outside",
        b"dir/../..": "outside",
        b"/etc": "outside",
    }
    assert {path: root.look(path) for path in expected} == expected


def test_file_is_opened_for_reading_alone(root: FileRoot, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    descriptor = root.open(b"file")
    assert descriptor is not None
    assert os.read(descriptor, 100) == b"content"
    assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")
    os.close(descriptor)


@pytest.mark.parametrize("path", [b".", b"dir", b"missing", b"fifo", b"..", b"fi\0le"])
def test_only_files_are_opened(root: FileRoot, tmp_path: Path, path: bytes) -> None:
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert root.open(path) is None


def test_directory_is_opened_for_listing(root: FileRoot, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    for path in (b".", b"dir"):
        descriptor = root.open_directory(path)
        assert descriptor is not None
        os.listdir(descriptor)
        os.close(descriptor)
    assert [root.open_directory(path) for path in (b"file", b"missing", b"..", b"di\0r")] == [None] * 4


@pytest.mark.parametrize(
    ("links", "path", "found"),
    [
        ({"a": "file"}, b"a", "file"),
        ({"a": "b", "b": "c", "c": "file"}, b"a", "file"),
        ({"a": "dir"}, b"a/inner", "file"),
        ({"dir/up": "../file"}, b"dir/up", "file"),
        ({"dir/up": ".."}, b"dir/up/dir/up/file", "file"),
        ({"dir/up": "../.."}, b"dir/up", "outside"),
        ({"dir/up": "../../x/file"}, b"dir/up", "outside"),
        ({"a": "dir", "b": "a/../file"}, b"b", "file"),
        ({"dir/deep": "../dir/sub", "a": "dir/deep/../inner"}, b"a", "file"),
        ({"a": "./dir/.//inner"}, b"a", "file"),
        ({"a": "dir/"}, b"a", "directory"),
        ({"a": "file/"}, b"a", "nothing"),
        ({"a": "."}, b"a/a/a/file", "file"),
        ({"a": "."}, b"a", "directory"),
        ({"a": "dir/.."}, b"a", "directory"),
        ({"a": "dir/../.."}, b"a", "outside"),
        ({"a": "missing"}, b"a", "nothing"),
        ({"a": "missing/../file"}, b"a", "nothing"),
        ({"a": "file/../file"}, b"a", "nothing"),
        ({"a": "a"}, b"a", "nothing"),
        ({"a": "b", "b": "a"}, b"a/x", "nothing"),
        ({"a": "/"}, b"a", "outside"),
        ({"a": "/dev/null"}, b"a", "outside"),
        ({"a": "x" * 4000}, b"a", "nothing"),
        ({"a": "./" * 2000 + "file"}, b"a", "file"),
        ({f"l{at}": f"l{at + 1}" for at in range(39)} | {"l39": "file"}, b"l0", "file"),
        ({f"l{at}": f"l{at + 1}" for at in range(40)} | {"l40": "file"}, b"l0", "nothing"),
    ],
)
def test_links(root: FileRoot, tmp_path: Path, links: dict[str, str], path: bytes, found: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "inner").touch()
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    assert root.look(path) == found


def test_file_that_may_not_be_read_is_forbidden(root: FileRoot, tmp_path: Path, probe: Any) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "secret").chmod(0)
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "file").touch()
    if os.geteuid() != 0:
        (tmp_path / "closed").chmod(0)
    with unprivileged():
        assert root.open(b"secret") is None
        assert root.look(b"closed/file") == "forbidden"
    (tmp_path / "closed").chmod(0o700)


def test_unconfined_root_leads_anywhere(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "file").touch()
    for openat2 in (True, False):
        root = FileRoot(tmp_path / "root", confined=False, openat2=openat2)
        assert root.look(b"../file") == "file"
        assert root.look(os.fsencode(tmp_path / "file")) == "file"
        assert root.look(b"/dev/null") == "special"
        assert root.open(b"/dev/null") is None


def test_root_may_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").touch()
    root = FileRoot(tmp_path / "root")
    (tmp_path / "root").rename(tmp_path / "moved")
    assert root.look(b"file") == "file"


def test_without_descriptors_that_is_what_is_said(root: FileRoot, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with without_descriptors():
        assert root.look(b"file") == "exhausted"
        assert root.open(b"file") is None
    assert root.look(b"file") == "file"


def test_no_descriptor_is_left(root: FileRoot, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").touch()
    (tmp_path / "link").symlink_to("dir/../dir/file")
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    for path in (b"dir/file", b"dir", b"link", b"fifo", b"missing", b"dir/missing/x", b"..", b"link/x"):
        root.look(path)
        if (descriptor := root.open(path)) is not None:
            os.close(descriptor)
    assert os.listdir("/proc/self/fd") == before


def test_root_is_closed_with_its_object(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    root = FileRoot(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del root
    with pytest.raises(FileNotFoundError):
        FileRoot(tmp_path / "missing")
    with pytest.raises(ValueError, match="NUL"):
        FileRoot("a\0b")
    with pytest.raises(TypeError):
        FileRoot(None)
    assert os.listdir("/proc/self/fd") == before


def test_root_says_when_it_would_have_to_wait(probe: Any, tmp_path: Path) -> None:
    root = FileRoot(tmp_path)
    if not root.tells:
        pytest.skip("this kernel does not say")
    (tmp_path / "seen").touch()
    number, _ = probe.look(root, b"a name that nobody has asked for", False)
    assert number == probe.FOUND_COLD
    assert root.look(b"a name that nobody has asked for") == "nothing"
    number, _ = probe.look(root, b"seen", False)
    assert number == probe.FOUND_FILE


def test_error_names_its_path() -> None:
    with pytest.raises(OSError, match="/does/not/exist") as caught:
        FileRoot("/does/not/exist")
    assert caught.value.errno == errno.ENOENT
