"""What is scraped is what clients saw: across workers, kills and reloads, by an address of its own, by Prometheus."""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.servers import PATIENCE_S, Server, run, running

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

APP = """
import asyncio
from highperf import App, Response
from prometheus_client import Counter, Gauge

ORDERS = Counter("orders", "Orders that were placed.", ["shop"])
RUNNING = Gauge("running", "Workers that run.", multiprocess_mode="livesum")
RUNNING.set(1)

app = App()

@app.get("/items/:id", critical=True)
def item(request):
    return {"id": 1}

@app.post("/items", critical=True)
async def add(request):
    await request.body()
    ORDERS.labels("north").inc()
    return Response.json({}, status=201)

@app.get("/broken")
def broken(request):
    raise RuntimeError

@app.get("/slow")
async def slow(request):
    await asyncio.sleep(0.03)

@app.get("/wait")
async def wait(request):
    await asyncio.sleep(1)
"""
FILES = {"shop.py": APP}

Kind = tuple[str, str, str]  # as it is told: method, route, status
KINDS: dict[Kind, bytes] = {
    ("GET", "/items/:id", "200"): b"GET /items/%d HTTP/1.1\r\nHost: a\r\n\r\n",
    ("HEAD", "/items/:id", "200"): b"HEAD /items/%d HTTP/1.1\r\nHost: a\r\n\r\n",
    ("POST", "/items", "201"): b"POST /items?%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ("DELETE", "/items/:id", "405"): b"DELETE /items/%d HTTP/1.1\r\nHost: a\r\n\r\n",
    ("GET", "", "404"): b"GET /nowhere/%d HTTP/1.1\r\nHost: a\r\n\r\n",
    ("_OTHER", "", "404"): b"FORGE /nowhere/%d HTTP/1.1\r\nHost: a\r\n\r\n",
}


def get(port: int, path: str, accept: str = "*/*") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as client:
        client.request("GET", path, headers={"Accept": accept})
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def values(port: int, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {
        frozenset(sample.labels.items()): sample.value
        for family in parse(get(port, "/metrics")[1])
        for sample in family.samples
        if sample.name == name
    }


def counted(port: int) -> Counter[Kind]:
    found: Counter[Kind] = Counter()
    for labels, value in values(port, "http_server_request_duration_seconds_count").items():
        told = dict(labels)
        found[told["http_request_method"], told["http_route"], told["http_response_status_code"]] += int(value)
    return found


def metrics_port(server: Server) -> int:
    return int(server.wait_for(r"Metrics are on http://127\.0\.0\.1:(\d+)/metrics")[1])


# ---- across workers and a kill --------------------------------------------------------------------


class Client:
    """Sends requests of all kinds in turn, ten at a time, and keeps account of what it saw."""

    BATCH = 10

    def __init__(self, server: Server, batches: int) -> None:
        self.seen: Counter[Kind] = Counter()
        self.lost: Counter[Kind] = Counter()
        self.half_way = threading.Event()
        self._server = server
        self._batches = batches
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        kinds = itertools.cycle(KINDS)
        connection: socket.socket | None = None
        for batch in range(self._batches):
            if batch == self._batches // 2:
                self.half_way.set()
            connection = connection or self._server.connect()
            waiting = list(itertools.islice(kinds, self.BATCH))
            try:
                connection.sendall(b"".join(KINDS[kind] % batch for kind in waiting))
                with connection.makefile("rb") as answers:
                    while waiting:
                        assert self._read(answers, waiting[0]) == waiting[0][2]
                        self.seen[waiting.pop(0)] += 1
            except ConnectionError:
                self.lost.update(waiting)
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _read(self, answers: "object", kind: Kind) -> str:
        line = answers.readline()  # type: ignore[attr-defined]
        if not line:
            raise ConnectionResetError
        size = 0
        while (field := answers.readline()) != b"\r\n":  # type: ignore[attr-defined]
            if not field:
                raise ConnectionResetError
            if field.lower().startswith(b"content-length:"):
                size = int(field.split(b":")[1])
        if kind[0] != "HEAD" and len(answers.read(size)) < size:  # type: ignore[attr-defined]
            raise ConnectionResetError
        return str(line.split()[1], "ascii")


def test_sums_are_what_clients_saw_though_a_worker_is_killed() -> None:
    # However long a request waits on a slow machine, none is refused for that.
    arguments = ("shop:app", "--workers", "4", "--metrics-address", "127.0.0.1:0", "--limit-concurrency", "0")
    with running(*arguments, files=FILES) as server:
        port = metrics_port(server)
        clients = [Client(server, 250) for _ in range(8)]
        clients[0].half_way.wait(PATIENCE_S)
        os.kill(int(server.wait_for(r"Worker 2 \[(\d+)\] is ready")[1]), signal.SIGKILL)
        for client in clients:
            client.join()
        server.wait_for(r"was killed by SIGKILL(?s:.*)Worker 2 \[\d+\] is ready")
        told = counted(port)
        orders = sum(values(port, "orders_total").values())
    seen = sum((client.seen for client in clients), Counter[Kind]())
    lost = sum((client.lost for client in clients), Counter[Kind]())
    assert sum(seen.values()) + sum(lost.values()) == 20_000
    assert sum(lost.values()) <= 8 * Client.BATCH
    routes = {(kind[0], kind[1] if kind[2] != "405" else "", kind[2]): kind for kind in KINDS}
    assert set(told) == set(routes)
    for as_told, kind in routes.items():
        assert seen[kind] <= told[as_told] <= seen[kind] + lost[kind], kind
    added = "POST", "/items", "201"
    assert seen[added] <= orders <= seen[added] + lost[added]


def test_counts_go_on_through_reloads_and_live_gauges_do_not() -> None:
    with running("shop:app", "--workers", "2", files=FILES) as server:
        for reload in range(1, 4):
            for _ in range(10):
                with server.connect() as client:
                    client.sendall(b"POST /items HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                    assert client.makefile("rb").read().startswith(b"HTTP/1.1 201 ")
            server.signal(signal.SIGHUP)
            server.wait_for(rf"(?s)(Reloaded in .*){{{reload}}}")
            assert counted(server.port)["POST", "/items", "201"] == 10 * reload
            assert values(server.port, "orders_total") == {frozenset({("shop", "north")}): 10 * reload}
            assert values(server.port, "running") == {frozenset(): 2}


def test_one_process_goes_on_counting_when_it_is_reloaded() -> None:
    with running("shop:app", files=FILES) as server:
        get(server.port, "/items/1")
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded in ")
        get(server.port, "/items/1")
        assert counted(server.port)["GET", "/items/:id", "200"] == 2


def test_the_directory_of_the_applications_metrics_is_removed(tmp_path: Path) -> None:
    with running("shop:app", files=FILES, env={"TMPDIR": str(tmp_path)}) as server:
        assert [path.name for path in tmp_path.glob("highperf-metrics-*/*")] == ["gauge_livesum_0.db"]
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not list(tmp_path.glob("highperf-metrics-*"))


def test_a_program_has_its_ordinary_registry() -> None:
    program = "import prometheus_client\n" + APP + "\nif __name__ == '__main__': app.run(port=0)\n"
    with running(program=["shop.py"], files={"shop.py": program}) as server:
        assert values(server.port, "running") == {frozenset(): 1}
        assert values(server.port, "python_info")


# ---- an address of their own ----------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_metrics_address_serves_operators_alone(workers: str) -> None:
    arguments = ("shop:app", "--workers", workers, "--metrics-address", "127.0.0.1:0", "--limit-concurrency", "1")
    with running(*arguments, files=FILES) as server:
        port = metrics_port(server)
        assert [get(port, path) for path in ("/healthz", "/readyz")] == [(200, "ok"), (200, "ready")]
        assert get(port, "/metrics")[0] == 200
        assert [get(port, path)[0] for path in ("/items/1", "/")] == [404, 404]
        assert [get(server.port, path)[0] for path in ("/metrics", "/healthz")] == [404, 200]
        with server.connect() as client:  # it tells of the drain until that ends
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            while not sum(values(port, "http_server_active_requests").values()):
                pass
            server.signal(signal.SIGTERM)
            server.wait_for("Waiting for connections to close")
            assert get(port, "/readyz")[0] == 503
            assert get(port, "/metrics")[0] == 200
            assert client.recv(64).startswith(b"HTTP/1.1 204 ")
        assert server.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_metrics_address_is_served_through_a_reload(workers: str) -> None:
    arguments = ("shop:app", "--workers", workers, "--metrics-address", "127.0.0.1:0")
    with running(*arguments, files=FILES) as server:
        port = metrics_port(server)
        server.signal(signal.SIGHUP)
        answers = set()
        while "Reloaded in " not in server.stderr:
            answers.add(get(port, "/readyz"))
        answers.add(get(port, "/readyz"))
        assert answers == {(200, "ready")}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_metrics_address_in_use_is_said_in_one_line(workers: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        arguments = ("shop:app", "--port", "0", "--workers", workers, "--metrics-address", f"127.0.0.1:{port}")
        done = run(*arguments, "--log-level", "error", files=FILES)
    assert done.code == 3
    said = rf"Error: Port {port} on 127\.0\.0\.1, of --metrics-address, is in use.*Try another --metrics-address\.\n"
    assert re.fullmatch(said, done.stderr)


def test_a_metrics_address_that_is_none_is_a_mistake() -> None:
    done = run("shop:app", "--metrics-address", "9100", files=FILES)
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert 'Invalid value "9100" for flag --metrics-address: expected an address such as' in done.stderr


# ---- Prometheus -----------------------------------------------------------------------------------


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_promtool_is_content_with_the_reference_api() -> None:
    assert PROMTOOL is not None
    with running("--workers", "2", env={"RATE_LIMIT_RPS": "1", "RATE_LIMIT_CAPACITY": "2"}) as server:
        for path in ("/users/1", "/users/x", "/users/2", "/nowhere"):
            get(server.port, path)
        text = get(server.port, "/metrics")[1]
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert 'highperf_rate_limit_total{policy="server",outcome="refused"}' in text


CONFIG = """
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def prometheus(place: Path, scraped: int) -> Iterator[int]:
    assert PROMETHEUS is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (place / "prometheus.yml").write_text(CONFIG.format(port=scraped))
    flags = [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data", "--config.file=prometheus.yml"]
    with (place / "log").open("w") as log:
        process = subprocess.Popen([PROMETHEUS, *flags], cwd=place, stdout=log, stderr=log)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def ask(port: int, question: str) -> float | None:
    """The one value that answers, once there is one."""
    try:
        status, text = get(port, f"/api/v1/query?query={quote(question)}")
    except OSError:
        return None
    found = json.loads(text)["data"]["result"] if status == 200 else []
    return float(found[0]["value"][1]) if found else None


@pytest.mark.skipif(PROMETHEUS is None, reason="needs Debian's package prometheus")
def test_prometheus_answers_what_clients_saw(tmp_path: Path) -> None:
    requests = 'http_server_request_duration_seconds_%s{http_route="/slow"}'
    with (
        running("shop:app", "--workers", "2", files=FILES) as server,
        prometheus(tmp_path, server.port) as port,
        closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)) as client,
    ):
        deadline_s = time.monotonic() + PATIENCE_S
        while ask(port, "up") != 1:
            assert time.monotonic() < deadline_s, (tmp_path / "log").read_text()
        sent, began_s = 0, time.monotonic()
        while (spent_s := time.monotonic() - began_s) < 4:
            client.request("GET", "/slow")
            client.getresponse().read()
            sent += 1
        rate = ask(port, f"sum(rate({requests % 'count'}[2s]))")
        median = ask(port, f"histogram_quantile(0.5, sum by (le) (rate({requests % 'bucket'}[2s])))")
        assert rate == pytest.approx(sent / spent_s, rel=0.25)
        assert median is not None
        assert 0.025 < median <= 0.05
        while ask(port, f"sum({requests % 'count'})") != sent:
            assert time.monotonic() < deadline_s
