"""What a type checker makes of a user's code; never run, only read by mypy (tests/quality/test_types.py).

assert_type states what is inferred, and an ignored error states what is refused: --strict reports
an ignore that is not needed.
"""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, assert_type

import msgspec

from highperf import (
    App,
    BreakerOpen,
    Buffer,
    BufferPool,
    CircuitBreaker,
    HTTPError,
    RateLimit,
    Request,
    Response,
    Router,
    TokenBucket,
)
from highperf.app import CallNext
from highperf.testing import TestClient, TestResponse
from highperf.wire.request import Headers, Query
from highperf.wire.response import ResponseHeaders


class NewUser(msgspec.Struct):
    name: str


app = App(health=False, read_timeout="2s", limit_request_fields=50, breaker=True, rate_limit_rps=0.5)


# ---- decorators keep what they are given ----------------------------------------------------------


@app.get("/users/:id", limit_body="64k")
async def get_user(request: Request) -> dict[str, str]:
    return request.params


@app.route("/files/*path", ["GET", "HEAD"], blocking=True)
def get_file(request: Request) -> bytes | None:
    return None


@app.post("/untyped")
async def untyped(request):  # type: ignore[no-untyped-def]
    return request


def by_user(request: Request) -> str | None:
    return request.headers.get("x-user")


@app.put("/guarded", deadline="80ms", rate_limit="100/s", breaker="db", limit_concurrency=8, critical=True)
@app.put("/more", deadline=0, rate_limit=["1/s", RateLimit("10/m", by="client")], breaker=CircuitBreaker("cache"))
@app.put("/less", deadline=None, rate_limit=False, breaker=False)
@app.put("/keyed", rate_limit=RateLimit("1/s", capacity=5, by=by_user, cost=2, name="user", table_bytes="64k"))
def guarded(request: Request) -> None: ...


@app.middleware
async def outer(request: Request, call_next: CallNext) -> Response:
    response = await call_next(request)
    assert_type(response, Response)
    return response


@app.on_startup
def connect() -> int:
    return 1


async def check_decorated(request: Request, call_next: CallNext) -> None:
    assert_type(await get_user(request), dict[str, str])
    assert_type(get_file(request), bytes | None)
    assert_type(await outer(request, call_next), Response)
    assert_type(connect(), int)


app.get("/x")(lambda request: request.path)
app.get("/x")(lambda: None)  # type: ignore[type-var]
app.get("/x", limit_body=1.5)  # type: ignore[arg-type]
app.get("/x", limit_bdy="1k")  # type: ignore[call-arg]
app.get("/x", deadline=0.08)  # type: ignore[arg-type]
app.get("/x", rate_limit=True)  # type: ignore[arg-type]
app.get("/x", breaker=5)  # type: ignore[arg-type]
app.get("/x", critical="yes")  # type: ignore[arg-type]
App(breaker=5)  # type: ignore[arg-type]
RateLimit(100)  # type: ignore[arg-type]
RateLimit("1/s", 5)  # type: ignore[call-arg]
RateLimit("1/s").rate = 2.0  # type: ignore[misc]
app.route("/x", 3)  # type: ignore[arg-type]


@app.get("/two")  # type: ignore[type-var]
async def takes_two(request: Request, other: int) -> None: ...


@app.middleware  # type: ignore[type-var]
async def takes_one(request: Request) -> None: ...


# ---- lifespan -------------------------------------------------------------------------------------


async def lifespan(app: App) -> AsyncIterator[None]:
    yield


App(lifespan=lifespan)
App(lifespan="main")  # type: ignore[arg-type]


# ---- requests -------------------------------------------------------------------------------------


async def reads(request: Request) -> None:
    assert_type(request.method, str)
    assert_type(request.path, str)
    assert_type(request.raw_path, bytes)
    assert_type(request.query_string, bytes)
    assert_type(request.query, Query)
    assert_type(request.headers, Headers)
    assert_type(request.headers["host"], str)
    assert_type(request.params, dict[str, str])
    assert_type(request.route, str | None)
    assert_type(request.client, tuple[str, int] | None)
    assert_type(request.scheme, str | None)
    assert_type(request.state, SimpleNamespace)
    assert_type(request.cancel_reason, str | None)
    assert_type(await request.body(), bytes)
    assert_type(await request.json(), Any)
    assert_type(await request.json(NewUser), NewUser)
    assert_type(await request.json(list[NewUser]), list[NewUser])
    async for part in request.stream():
        assert_type(part, bytes)
    async for item in request.json_items("item"):
        assert_type(item, Any)
    request.path = "/"  # type: ignore[misc]


# ---- responses ------------------------------------------------------------------------------------


async def parts() -> AsyncIterator[bytes]:
    yield b""


def answers() -> None:
    assert_type(Response("text", 201, {"X-One": "1"}), Response)
    assert_type(Response.json({"a": 1}, status=201), Response)
    assert_type(Response.text("a"), Response)
    assert_type(Response.stream(parts(), content_type="text/csv"), Response)
    assert_type(Response().headers, ResponseHeaders)
    assert_type(Response().body, bytes | None)
    Response().status = 404
    Response().headers["X-One"] = "1"
    Response({"a": 1})  # type: ignore[arg-type]
    Response.stream([b"a"])  # type: ignore[arg-type]
    raise HTTPError(409, "taken", headers={"X-One": "1"}, errors=[{"pointer": "#/email"}])


# ---- building blocks, tests, running --------------------------------------------------------------


def blocks() -> None:
    router = Router()
    router.add("GET", "/", get_user)
    assert_type(router.match("GET", "/"), tuple[Any, dict[str, str]] | None)
    assert_type(BufferPool().acquire(), Buffer)
    assert_type(RateLimit("1/s").capacity, int)
    assert_type(TokenBucket(100, 10).take(), int)


async def outbound() -> None:
    database = app.breaker("db", failures=5, open_for="1s", longest_open="30s", lease="2s", volume=20, ratio=0.5)
    assert_type(database, CircuitBreaker)
    try:
        async with database:
            pass
        with database:
            pass
    except BreakerOpen as error:
        assert_type(error.retry_after_s, int)
    app.breaker("db", failures="5")  # type: ignore[arg-type]


def test() -> None:
    with app.test_client() as client:
        assert_type(client, TestClient)
        assert_type(client.get("/"), TestResponse)
        assert_type(client.post("/", json={}).status, int)
        assert_type(client.run(client.exchange("GET", "/")), TestResponse)


def main() -> None:
    app.run(host="0.0.0.0", port=80)
    print("never reached")  # type: ignore[unreachable]
