"""--reload: a changed file is a rolling reload, and one that cannot be run changes nothing."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.servers import Server, run, running

pytest.importorskip("watchfiles")

SHOP = """
import os
from highperf import App
app = App()

@app.get("/")
def version(request):
    return "one"

@app.get("/greeting")
def greeting(request):
    return os.environ.get("GREETING", "")
"""
FILES = {"shop.py": SHOP}
GET = "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def ask(server: Server, path: str = "/") -> str:
    with server.connect() as client:
        client.sendall((GET % path).encode())
        return client.makefile("rb").read().partition(b"\r\n\r\n")[2].decode()


def change(path: Path, text: str) -> None:
    """Put another version in place in one step, which Python does not take for the one that it has compiled."""
    fresh = path.with_name("fresh")
    fresh.write_text(text)
    changed = path.stat().st_mtime + 10
    os.utime(fresh, (changed, changed))
    fresh.replace(path)


def stops(server: Server) -> None:
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.wait_for_all()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_change_is_served_once_the_log_says_what_has_changed(workers: str) -> None:
    with running("shop:app", "--reload", "--workers", workers, files=FILES) as server:
        server.wait_for(r"INFO Watching \S+ for changes")
        change(server.directory / "shop.py", SHOP.replace('"one"', '"two"'))
        server.wait_for(r"INFO Reloading \(shop\.py changed\)")
        server.wait_for("INFO Reloaded in")
        assert {ask(server) for _ in range(10)} == {"two"}
        stops(server)


def test_an_error_in_what_changed_is_shown_while_the_old_version_serves_on() -> None:
    with running("shop:app", "--reload", files=FILES) as server:
        change(server.directory / "shop.py", SHOP.replace("app = App()", "app = = App()"))
        server.wait_for(r'(?s)ERROR Reload failed, .*SyntaxError: invalid syntax.*File ".*shop\.py", line 4')
        assert ask(server) == "one"
        change(server.directory / "shop.py", SHOP.replace('"one"', '"three"'))
        server.wait_for("INFO Reloaded in")
        assert ask(server) == "three"
        stops(server)


def test_a_changed_env_file_is_read_anew() -> None:
    files = {"code/shop.py": SHOP, "etc/shop.env": "GREETING=hello\n"}
    arguments = ("--reload", "--app-dir", "code", "--env-file", "etc/shop.env")
    with running("shop:app", *arguments, files=files) as server:
        assert ask(server, "/greeting") == "hello"
        change(server.directory / "etc" / "shop.env", "GREETING=welcome\n")
        server.wait_for(r"INFO Reloading \(etc/shop\.env changed\)")
        server.wait_for("INFO Reloaded in")
        assert ask(server, "/greeting") == "welcome"
        stops(server)


def test_a_program_that_runs_its_app_may_ask_for_it_as_well() -> None:
    program = SHOP + "if __name__ == '__main__':\n    app.run(port=0, reload=True, reload_exclude=['fresh'])\n"
    with running(program=["shop.py"], files={"shop.py": program}) as server:
        change(server.directory / "shop.py", program.replace('"one"', '"two"'))
        server.wait_for("INFO Reloaded in")
        assert ask(server) == "two"
        stops(server)


def test_without_watchfiles_it_is_one_line_and_exit_3(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['watchfiles'] = None; from highperf.cli import main; main()"
    done = run(program=["-c", hidden, "shop:app", "--port", "0", "--reload"], files=FILES, directory=tmp_path)
    line = "Error: --reload needs watchfiles, which is not installed: pip install 'highperf[reload]'\n"
    assert (done.code, done.stdout, done.stderr) == (3, "", line)


def test_nothing_of_it_is_imported_where_it_is_not_asked_for() -> None:
    code = (
        SHOP
        + "\n@app.get('/imported')\ndef imported(request):\n    return str('watchfiles' in __import__('sys').modules)\n"
    )
    with running("shop:app", "--reload", files={"shop.py": code}) as server:
        assert ask(server, "/imported") == "False"
    assert re.fullmatch(r"False\n", run(program=["-c", "import highperf.cli, highperf.server.launch, sys; "
                                                      "print('watchfiles' in sys.modules)"]).stdout)  # fmt: skip
