"""From the command line to the first answer, and what stands in the way of it."""

import json
import re
import signal
import socket
import sys

import pytest

from tests.servers import Server, run, running

SHOP = """
from highperf import App
app = App(idle_timeout="9s")

@app.get("/")
async def greet(request):
    return "hello"
"""
LOADED = """
import sys
from highperf import App
app = App()

@app.get("/")
async def loaded(request):
    return sorted(sys.modules)
"""
# Each is large, or brings what is, and wanted for rare occasions only.
NOT_FOR_IDLE_WORKERS = {
    *("tempfile", "shutil", "bz2", "lzma", "secrets", "hmac", "fractions", "difflib", "glob", "ctypes"),
    *("email", "http.client", "urllib.request", "multiprocessing", "sqlite3", "encodings.idna", "stringprep"),
    *("pkgutil", "highperf.testing", "watchfiles", "prometheus_client", "opentelemetry", "ijson"),
}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def fetch(server: Server, request: bytes = REQUEST) -> bytes:
    with server.connect() as client:
        client.sendall(request)
        return client.makefile("rb").read()


def events(server: Server) -> list[str]:
    """What the server said, without the times."""
    return re.findall(r"^\S+Z (.*)$", server.stderr, re.MULTILINE)


def test_an_app_is_served_and_the_log_tells_of_its_start() -> None:
    with running("shop:app", files={"shop.py": SHOP}) as server:
        assert fetch(server).endswith(b"\r\n\r\nhello")
        assert events(server) == [
            f"INFO Started server process [{server.pid}]",
            "INFO Waiting for application startup.",
            "INFO Application startup complete.",
            "INFO Limits: head 64k/2s, body 16m/2s idle, response 2s idle, keep-alive 9s, shutdown 5s, "
            "rate off, breaker off, deadline off, concurrency 512",
            f"INFO highperf running on http://127.0.0.1:{server.port} (Press CTRL+C to quit)",
        ]


@pytest.mark.release_build  # what measures coverage loads much
def test_an_idle_worker_has_loaded_nothing_large_that_it_may_never_need() -> None:
    with running("shop:app", files={"shop.py": LOADED}) as server:
        loaded = set(json.loads(fetch(server).partition(b"\r\n\r\n")[2]))
    assert loaded & NOT_FOR_IDLE_WORKERS == set()


def test_events_carry_the_time_in_utc() -> None:
    with running("shop:app", files={"shop.py": SHOP}) as server:
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in server.stderr.splitlines())


def test_the_reference_api_is_served_where_no_app_is_named() -> None:
    with running() as server:
        head, _, body = fetch(server, REQUEST.replace(b"/ ", b"/healthz ", 1)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b"ok"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "rate 1000/s burst 1000, breaker 20 failures/2s, deadline 100ms, concurrency 512"),
        (
            {"RATE_LIMIT_RPS": "0", "CB_FAILURE_THRESHOLD": "0", "REQUEST_TIMEOUT": "0", "LIMIT_CONCURRENCY": "0"},
            "rate off, breaker off, deadline off, concurrency off",
        ),
        (
            {"RATE_LIMIT_RPS": "2.5", "RATE_LIMIT_CAPACITY": "0", "CB_OPEN_DURATION": "500ms"},
            "rate 2.5/s burst 2, breaker 20 failures/500ms, deadline 100ms, concurrency 512",
        ),
    ],
)
def test_the_limits_of_the_reference_api_are_told(env: dict[str, str], said: str) -> None:
    with running(env=env) as server:
        assert server.stderr.count(f"shutdown 5s, {said}\n") == 1


def test_a_breaker_of_one_route_is_told() -> None:
    app = SHOP + '@app.get("/orders", breaker="db")\ndef orders(request): ...\n'
    with running("shop:app", files={"shop.py": app}) as server:
        assert "rate off, breaker 20 failures/2s, deadline off" in server.stderr


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("RATE_LIMIT_RPS", "-5", "a number from 0.0001 to 1000000000 such as 1000 or 0.5, or 0 to turn it off"),
        ("RATE_LIMIT_RPS", "nan", "a number from 0.0001 to 1000000000 such as 1000 or 0.5, or 0 to turn it off"),
        ("RATE_LIMIT_CAPACITY", "1e9", "a whole number from 0 to 1000000000"),
        ("CB_FAILURE_THRESHOLD", "-1", "a whole number from 0 to 10000"),
        ("CB_OPEN_DURATION", "2", "a duration from 1ms to 24h such as 80ms, 2s or 1m30s"),
        ("REQUEST_TIMEOUT", "100", "a duration from 1ms to 24h such as 80ms, 2s or 1m30s, or 0 to turn it off"),
        ("HIGHPERF_REQUEST_TIMEOUT_HEADER", "a b", "a field's name, or off"),
        ("LIMIT_CONCURRENCY", "many", "a whole number from 0 to 1000000"),
    ],
)
def test_a_wrong_limit_is_one_line_and_exit_2(variable: str, value: str, expected: str) -> None:
    done = run("--port", "0", env={variable: value})
    line = f'Error: Invalid value "{value}" for environment variable {variable}: expected {expected}.\n'
    assert (done.code, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ('@app.get("/x", deadline="fast")', "route GET /x: deadline='fast', expected a duration from 1ms to 24h"),
        ('@app.get("/x", dedline="1s")', "route GET /x: unknown policy 'dedline'. Did you mean deadline?"),
        ('@app.get("/x", rate_limit="0/s")', "route GET /x: rate_limit='0/s', expected a RateLimit or a rate such as"),
        ('app.breaker("db", failures=0)', "breaker 'db': failures=0, expected a whole number from 1 to 10000"),
    ],
)
def test_a_wrong_declaration_is_one_line_with_its_place_and_exit_2(declaration: str, reason: str) -> None:
    done = run("shop:app", files={"shop.py": f"{SHOP}\n{declaration}\ndef last(request): ...\n"})
    assert (done.code, done.stdout) == (2, "")
    said = rf'Error: Could not import "shop:app": {re.escape(reason)}.* \(.*shop\.py, line 9\)\n'
    assert re.fullmatch(said, done.stderr), done.stderr


def test_the_app_is_ready_once_the_log_says_that_it_runs() -> None:
    with running("shop:app", files={"shop.py": SHOP}) as server:
        assert fetch(server, REQUEST.replace(b"/ ", b"/readyz ", 1)).endswith(b"\r\n\r\nready")


def test_a_start_hook_runs_before_the_first_connection() -> None:
    hook = SHOP + (
        "import socket, os, sys\n"
        "@app.on_startup\n"
        "async def check():\n"
        "    with socket.socket() as probe:\n"
        "        refused = probe.connect_ex(('127.0.0.1', int(os.environ['PROBE'])))\n"
        "    print('refused' if refused else 'accepted', file=sys.stderr, flush=True)\n"
    )
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    with running("shop:app", files={"shop.py": hook}, env={"PROBE": str(port)}, port=port) as server:
        assert "refused\n" in server.stderr


def test_the_server_listens_on_every_address_of_localhost() -> None:
    with running("shop:app", "--host", "localhost", files={"shop.py": SHOP}) as server:
        urls = re.findall(r"http://\S+", server.stderr)
        assert f"http://127.0.0.1:{server.port}" in urls
        for url in urls:
            host = url.removeprefix("http://").rpartition(":")[0].strip("[]")
            with socket.create_connection((host, server.port), 5) as client:
                client.sendall(REQUEST)
                assert client.makefile("rb").read().endswith(b"hello")


def test_a_port_in_use_is_one_line_that_names_the_holder_and_exit_3() -> None:
    with running("shop:app", files={"shop.py": SHOP}) as holder:
        done = run("shop:app", "--port", str(holder.port), directory=holder.directory)
        assert done.code == 3
        assert re.fullmatch(
            rf"Error: Port {holder.port} on 127\.0\.0\.1 is in use "
            rf'\(pid {holder.pid} "\S*python\S* -m highperf shop:app.*"\)\. '
            rf"Try --port {holder.port + 1} or --port 0\.\n",
            done.stderr,
        )
        assert fetch(holder).endswith(b"hello")


def test_a_server_may_follow_another_on_its_port_at_once() -> None:
    with running("shop:app", files={"shop.py": SHOP}) as first:
        fetch(first)
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
    with running("shop:app", files={"shop.py": SHOP}, port=first.port) as second:
        assert fetch(second).endswith(b"hello")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["shop:ap"], 'Error: Could not import "shop:ap": module "shop" has no attribute "ap". Did you mean "app"?'),
        (["shop:App"], 'Error: Could not serve "shop:App": it is the class App, not a highperf App. '
                       "If it makes one, add --factory."),
        (["shop:app", "--host", "192.0.2.1"], "Error: 192.0.2.1 is not an address of this machine. "
                                              "Try --host 127.0.0.1, or --host 0.0.0.0 for all."),
    ],
)  # fmt: skip
def test_an_app_or_address_that_is_not_to_be_had_is_one_line_and_exit_3(arguments: list[str], line: str) -> None:
    done = run(*arguments, files={"shop.py": SHOP})
    assert (done.code, done.stdout, done.stderr) == (3, "", line + "\n")


def test_a_missing_module_is_one_line_and_exit_3() -> None:
    done = run("shpo:app", files={"shop.py": SHOP})
    assert done.code == 3
    assert re.fullmatch(r'Error: Could not import "shpo:app": .* Did you mean "shop"\?\n', done.stderr)


def test_a_module_that_raises_shows_its_own_frames_and_one_line() -> None:
    done = run("shop:app", files={"shop.py": "def f():\n    raise RuntimeError('no token')\nf()\n"})
    assert done.code == 3
    assert re.findall(r'File ".*/(.+)", line (\d+)', done.stderr) == [("shop.py", "3"), ("shop.py", "2")]
    assert done.stderr.splitlines()[-1] == 'Error: Could not import "shop:app": RuntimeError: no token'


def test_a_start_hook_that_raises_shows_its_own_frames_and_one_line() -> None:
    hook = SHOP + (
        "import asyncio\n"
        "@app.on_startup\n"
        "async def connect():\n"
        "    app.state.behind = asyncio.create_task(asyncio.sleep(60))\n"
        "    raise OSError('no database')\n"
    )
    done = run("shop:app", "--port", "0", files={"shop.py": hook})
    assert done.code == 3
    assert re.findall(r'File ".*/(.+)", line (\d+)', done.stderr) == [("shop.py", "12")]
    assert done.stderr.splitlines()[-1] == "Error: Application startup failed: OSError: no database"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets two sockets share an address until one listens")
def test_a_port_that_is_taken_during_the_start_is_one_line_after_the_shutdown_hooks() -> None:
    hook = SHOP + (
        "import socket, sys\n"
        "@app.on_startup\n"
        "def take_the_port():\n"
        "    app.state.thief = socket.socket()\n"
        "    app.state.thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "    app.state.thief.bind(('127.0.0.1', PORT))\n"
        "    app.state.thief.listen()\n"
        "@app.on_shutdown\n"
        "def give_it_back():\n"
        "    app.state.thief.close()\n"
        "    print('given back', file=sys.stderr, flush=True)\n"
    )
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    done = run("shop:app", "--port", str(port), files={"shop.py": hook.replace("PORT", str(port))})
    assert done.code == 3
    assert re.search(rf"given back\nError: Port {port} on 127\.0\.0\.1 is in use .*\n$", done.stderr)


@pytest.mark.parametrize(
    ("content", "words"),
    [("this is no database", "is not a SQLite database"), (None, "cannot be opened")],
    ids=["corrupt", "missing folder"],
)
def test_a_database_that_cannot_be_used_is_one_line_and_exit_3(content: str | None, words: str) -> None:
    files = {"data/users.db": content * 100} if content else {}
    done = run("--port", "0", "--database-url", "sqlite:///./data/users.db", files=files)
    assert done.code == 3
    line = done.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    assert words in line
    assert "Traceback" not in done.stderr


def test_a_signal_before_the_app_is_up_ends_the_start() -> None:
    hook = SHOP + (
        "import asyncio, sys\n"
        "@app.on_startup\n"
        "async def wait():\n"
        "    print('starting', file=sys.stderr, flush=True)\n"
        "    await asyncio.Event().wait()\n"
    )
    with running("shop:app", files={"shop.py": hook}, until="starting") as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "INFO Shutting down (SIGTERM) before the application was up" in events(server)


def test_the_limit_of_open_files_is_raised_to_what_is_allowed() -> None:
    code = SHOP + (
        "import resource\n"
        "@app.get('/files')\n"
        "def files(request):\n"
        "    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "    return {'raised': soft == hard}\n"
    )
    with running("shop:app", files={"shop.py": code}) as server:
        assert fetch(server, REQUEST.replace(b"/ ", b"/files ", 1)).endswith(b'{"raised":true}')
