"""The servers: a name, a start command, and what each is asked to serve.

Every peer listens on 127.0.0.1 and is ready once GET /healthz answers 200. A command is split at
spaces; then, in its parts and in env, {port}, {static}, {apps}, {work}, {run}, {root}, {python}
and {venv} are filled in: {root} is this repository, {python} runs this benchmark, {venv} is the
peer's own environment.
"""

from dataclasses import dataclass, field
from typing import Any

API = ("healthz", "healthz-pipe16", "user", "create")
FILES = ("static-1k", "static-64k", "static-8m")
CONNECTIONS = ("idle", "crowd")
NOT_MODIFIED = "not-modified"
ALL = API + FILES + CONNECTIONS

FLOOR = "floor"
GUARDED, UNGUARDED = "highperf-guarded", "highperf-unguarded"
CORE = (FLOOR, "go-fasthttp", "go-nethttp", "raw-uvloop", "highperf")


@dataclass(frozen=True)
class Peer:
    name: str
    command: str
    workloads: tuple[str, ...] = ALL
    venv: str = ""  # folder below <work>/venv
    env: dict[str, str] = field(default_factory=dict)
    distributions: str = ""  # Python distributions whose versions are reported
    version_command: str = ""
    scheme: str = "http"
    canned: bool = False  # fixed answers: whether it routes and validates is not checked
    config: tuple[str, dict[str, str]] | None = None  # a file of apps/, and what stands for the @NAMES@ in it
    cpus: str = ""  # where it may run, such as 0-3; "": on the one CPU for servers
    note: str = ""


def highperf(
    name: str, app: str, env: dict[str, str] | None = None, flags: str = "--no-access-log", **more: Any
) -> Peer:
    return Peer(
        name,
        f"{{python}} -m highperf {app} --app-dir {{apps}} --port {{port}} --backlog 4096 --log-level warning {flags}",
        env={"PYTHONPATH": "{root}", "IDLE_TIMEOUT": "300s"} | (env or {}),
        distributions="highperf uvloop orjson",
        **more,
    )


def go(name: str, program: str, **more: Any) -> Peer:
    return Peer(
        name,
        f"{{work}}/bin/{program} -port {{port}} -static {{static}}",
        env={"GOMAXPROCS": "1"},
        version_command="{work}/venv/go/bin/go version",
        **more,
    )


def nginx(name: str, extra: str, **more: Any) -> Peer:
    return Peer(
        name,
        f"nginx -p {{run}} -c {{run}}/{name}.conf",
        version_command="nginx -v",
        canned=True,
        config=("nginx.conf.in", {"EXTRA": extra, "WORKERS": "1"}),
        **more,
    )


def python(name: str, script: str, venv: str, distributions: str, **more: Any) -> Peer:
    command = f"{{venv}}/bin/python {{apps}}/{script}"
    return Peer(name, command, venv=venv, distributions=distributions, **more)


def wsgi(server: str, name: str = "", workloads: tuple[str, ...] = API, note: str = "bare WSGI app") -> Peer:
    script, distributions = f"wsgi_bare.py {server} {{port}} {{static}}", f"{server} orjson"
    return python(name or server, script, server, distributions, workloads=workloads, note=note)


def asgi(server: str, name: str) -> Peer:
    script, distributions = f"asgi_bare.py {server} {{port}}", f"{server} orjson"
    return python(name, script, server, distributions, workloads=API + CONNECTIONS, note="bare ASGI app")


def uvicorn(name: str, app: str, distributions: str = "", note: str = "uvicorn", **more: Any) -> Peer:
    return Peer(
        name,
        f"{{venv}}/bin/uvicorn {app} --app-dir {{apps}} --host 127.0.0.1 --port {{port}}"
        " --loop uvloop --http httptools --workers 1 --no-access-log --log-level warning"
        " --backlog 4096 --timeout-keep-alive 300",
        venv="uvicorn",
        env={"STATIC_DIR": "{static}"},
        distributions=f"uvicorn uvloop httptools orjson {distributions}",
        note=note,
        **more,
    )


def granian(name: str, interface: str, app: str, distributions: str = "", **more: Any) -> Peer:
    return Peer(
        name,
        f"{{venv}}/bin/granian --interface {interface} --host 127.0.0.1 --port {{port}}"
        " --http 1 --no-ws --workers 1 --runtime-threads 1 --runtime-mode st --loop uvloop"
        " --log-level warning --no-access-log --backlog 4096 --backpressure 65536"
        f" --working-dir {{apps}} {app}",
        venv="granian",
        env={"PYTHONPATH": "{apps}", "STATIC_DIR": "{static}"},
        distributions=f"granian uvloop orjson {distributions}",
        **more,
    )


PEERS = (
    Peer(
        FLOOR,
        "{work}/bin/floor {port} {static}",
        canned=True,
        note="C, epoll, canned answers: no routing, no JSON; sendfile from open descriptors",
    ),
    highperf(
        "highperf",
        "highperf_app:app",
        workloads=(*ALL, NOT_MODIFIED),
        env={"STATIC_DIR": "{static}"},
        note="this project: public API, async handlers",
    ),
    highperf(
        GUARDED,
        "highperf_app:app",
        env={"GUARDS": "on", "RATE_LIMIT_RPS": "100000000", "LIMIT_CONCURRENCY": "512"},
        workloads=("user",),
        note="this project with every guard on: deadline, both kinds of rate limit, breaker, concurrency",
    ),
    highperf(
        UNGUARDED,
        "highperf_app:app",
        env={"LIMIT_CONCURRENCY": "0"},
        workloads=("user",),
        note="this project without any guard",
    ),
    go("go-fasthttp", "go_fasthttp", note="route switch by hand; fasthttp.FS (caches small files)"),
    go("go-nethttp", "go_nethttp", note="httprouter and a full middleware stack"),
    go("go-nethttp-bare", "go_nethttp -bare", workloads=API, note="httprouter, no middleware"),
    python(
        "raw-uvloop",
        "raw_uvloop.py {port} {static}",
        "raw",
        "uvloop httptools orjson",
        note="hand-written Protocol on uvloop and httptools; os.sendfile",
    ),
    nginx(
        "nginx", "", workloads=("healthz", "healthz-pipe16", *FILES, "idle"), note="return 200; sendfile, tcp_nopush"
    ),
    nginx(
        "nginx-filecache",
        "open_file_cache max=100 inactive=60s;",
        workloads=FILES,
        note="nginx with open_file_cache",
    ),
    wsgi("freastal", "freastal-wsgi"),
    asgi("freastal", "freastal-asgi"),
    wsgi("fastwsgi"),
    wsgi("fastpysgi", "fastpysgi-wsgi"),
    asgi("fastpysgi", "fastpysgi-asgi"),
    wsgi(
        "bjoern",
        workloads=("healthz", "user", "create", *FILES),
        note="bare WSGI app; wsgi.file_wrapper (sendfile); answers no pipelined requests",
    ),
    python(
        "socketify",
        "socketify_app.py {port} {static}",
        "socketify",
        "socketify orjson",
        workloads=(*API, "static-1k"),
        note="own router and static route (which aborts the process on larger files under load)",
    ),
    granian(
        "granian-rsgi",
        "rsgi",
        "--static-path-route /files --static-path-mount {static} granian_rsgi:app",
        note="bare RSGI app; granian's own static files",
    ),
    granian("granian-starlette", "asgi", "starlette_app:app", "starlette", note="the starlette app under granian"),
    python(
        "robyn",
        "robyn_app.py --processes 1 --workers 1 --disable-openapi --log-level WARNING",
        "robyn",
        "robyn uvloop orjson",
        workloads=API + FILES,
        env={"PORT": "{port}", "STATIC_DIR": "{static}", "ROBYN_DEV_MODE": "False"},
        note="own router and directory serving",
    ),
    uvicorn("uvicorn-bare", "asgi_bare:app", workloads=API, note="bare ASGI app"),
    uvicorn("blacksheep", "blacksheep_app:app", "blacksheep"),
    uvicorn("falcon-asgi", "falcon_app:app", "falcon"),
    uvicorn("starlette", "starlette_app:app", "starlette"),
    uvicorn(
        "fastapi",
        "fastapi_app:app",
        "fastapi starlette pydantic",
        workloads=API,
        note="uvicorn; pydantic models; static is starlette's, see there",
    ),
    python("aiohttp", "aiohttp_app.py {port} {static}", "aiohttp", "aiohttp uvloop orjson", note="on uvloop"),
    python(
        "sanic",
        "sanic_app.py {port} {static}",
        "sanic",
        "sanic uvloop httptools orjson",
        workloads=API + FILES,
        note="single_process",
    ),
)

# Close relatives of others, which the usual run leaves out.
RELATIVES = (
    "go-nethttp-bare",
    "nginx",
    "fastwsgi",
    "fastpysgi-wsgi",
    "fastpysgi-asgi",
    "bjoern",
    "uvicorn-bare",
)
USUAL = tuple(peer.name for peer in PEERS if peer.name not in RELATIVES)
