"""app.run(): a program that serves its own app, and ends as highperf-serve would."""

import asyncio
import signal
import socket
import threading

import pytest

from highperf import App
from tests.servers import run, running

MAIN = """\
import os
from highperf import App

app = App(idle_timeout="7s")

@app.get("/")
async def hello(request):
    return {"pid": os.getpid()}

if __name__ == "__main__":
    app.run(%s)
    raise AssertionError("not reached")
"""


def main(arguments: str) -> dict[str, str]:
    return {"main.py": MAIN % arguments}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_program_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with running(program=["main.py"], files=main("port=0")) as server:
        assert server.host == "127.0.0.1"
        assert "keep-alive 7s" in server.stderr
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = client.makefile("rb").read()
            assert answer.endswith(b'{"pid":%d}' % server.pid)
        server.signal(number)
        assert server.wait() == 0
        assert "not reached" not in server.stderr


def test_arguments_go_before_the_environment_and_that_before_the_app() -> None:
    env = {"PORT": "1", "IDLE_TIMEOUT": "8s", "READ_TIMEOUT": "3s"}
    with running(program=["main.py"], files=main('port=0, read_timeout="4s"'), env=env) as server:
        assert "keep-alive 8s" in server.stderr
        assert "/4s idle" in server.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("port=70000", 'Error: Invalid value "70000" for app.run(port=...): expected a port number from 0 to 65535.\n'),
        ("prt=1", "Error: app.run(prt=...) is not a setting. Did you mean port?\n"),
    ],
)
def test_wrong_argument_is_one_line_and_exit_2(arguments: str, line: str) -> None:
    finished = run(program=["main.py"], files=main(arguments))
    assert (finished.code, finished.stderr) == (2, line)


def test_wrong_variable_is_one_line_and_exit_2() -> None:
    finished = run(program=["main.py"], files=main("port=0"), env={"READ_TIMEOUT": "soon"})
    assert finished.code == 2
    assert finished.stderr.startswith('Error: Invalid value "soon" for environment variable READ_TIMEOUT')


def test_port_in_use_is_exit_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = run(program=["main.py"], files=main(f"port={port}"))
    assert finished.code == 3
    assert finished.stderr.splitlines()[-1].startswith("Error: ")
    assert str(port) in finished.stderr


def test_failing_start_is_exit_3_with_the_users_traceback() -> None:
    connect = '@app.on_startup\ndef connect():\n    raise OSError("no database")\n\n\n'
    failing = (MAIN % "port=0").replace("if __name__", connect + "if __name__")
    finished = run(program=["main.py"], files={"main.py": failing})
    assert finished.code == 3
    assert "in connect" in finished.stderr
    assert finished.stderr.splitlines()[-1] == "Error: Application startup failed: OSError: no database"


def test_run_is_refused_inside_of_a_coroutine() -> None:
    async def main() -> None:
        App().run()

    with pytest.raises(RuntimeError, match="inside of a coroutine"):
        asyncio.run(main())


def test_run_is_refused_outside_of_the_main_thread() -> None:
    errors: list[BaseException] = []

    def main() -> None:
        try:
            App().run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert isinstance(errors[0], RuntimeError)
    assert "main thread" in str(errors[0])
