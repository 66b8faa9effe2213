"""App: routes, policies, middleware, start and stop, and the client to test it with."""

import asyncio
import contextvars
import dataclasses
import functools
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from highperf import App, CircuitBreaker, ConfigError, HTTPError, RateLimit, Request, Response, RouteConflict
from highperf.config import Layers, resolve
from highperf.core.cycle import Route
from highperf.testing import TestResponse

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

Next = Callable[[Request], Awaitable[Response]]


def ask(app: App, method: str = "GET", path: str = "/", **options: Any) -> TestResponse:
    with app.test_client() as client:
        return client.request(method, path, **options)


async def nothing(request: Request) -> None:
    pass


# ---- routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_each_method_has_its_decorator(method: str) -> None:
    app = App()

    @getattr(app, method)("/")
    async def handler(request: Request) -> Response:
        return Response(status=202, headers={"X-Method": request.method})

    answer = ask(app, method.upper())
    assert (answer.status, answer.headers["x-method"]) == (202, method.upper())


def test_decorators_give_the_function_back() -> None:
    app = App()
    assert app.get("/")(nothing) is nothing
    assert app.route("/other", ["PUT"])(nothing) is nothing
    assert app.on_startup(print) is print
    assert app.on_shutdown(print) is print

    async def function(request: Request, call_next: Next) -> Response:
        return await call_next(request)

    assert app.middleware(function) is function


def test_decorators_stack() -> None:
    app = App()

    @app.get("/a")
    @app.post("/b")
    async def handler(request: Request) -> str:
        return f"{request.method} {request.path}"

    assert ask(app, "GET", "/a").text == "GET /a"
    assert ask(app, "POST", "/b").text == "POST /b"


def test_route_takes_some_methods_or_all() -> None:
    app = App()

    @app.route("/some", ["GET", "POST", "PURGE"])
    @app.route("/one", "PUT")
    @app.route("/all", "*")
    async def handler(request: Request) -> str:
        return request.method

    with app.test_client() as client:
        assert [client.request(method, "/some").text for method in ("GET", "POST", "PURGE")] == ["GET", "POST", "PURGE"]
        assert client.put("/one").text == "PUT"
        assert client.get("/one").status == 405
        assert client.request("BREW", "/all").text == "BREW"
        assert client.options("/all").text == "OPTIONS"
        assert client.put("/some").headers["allow"] == "GET, HEAD, OPTIONS, POST, PURGE"


@pytest.mark.parametrize("path", ["/items/:id/*rest", "/items/{id}/{rest:path}", "/items/{id}/*rest"])
def test_both_spellings_of_parameters(path: str) -> None:
    app = App()

    @app.get(path)
    async def handler(request: Request) -> dict[str, str | None]:
        return {**request.params, "route": request.route}

    expected = {"id": "a b", "rest": "c/d", "route": "/items/:id/*rest"}
    assert ask(app, path="/items/a%20b/c/d").json() == expected
    assert ask(app, path="/items/x/").json() == {**expected, "id": "x", "rest": ""}


@pytest.mark.parametrize("path", ["", "users", "/a?b", "/a/*rest/c", "/:", "/:a/:a", "/{id:int}", "/x:id"])
def test_malformed_path_is_refused_where_it_is_declared(path: str) -> None:
    app = App()
    with pytest.raises(ValueError, match="pattern"):
        app.get(path)(nothing)


@pytest.mark.parametrize("methods", [[], "", "GET, POST", ["GET POST"], ["GÉT"]])
def test_malformed_methods_are_refused(methods: Any) -> None:
    with pytest.raises(ValueError, match="method"):
        App().route("/", methods)(nothing)


def test_method_in_lower_case_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'GET'"):
        App().route("/", ["get"])(nothing)


def test_conflict_is_refused_where_it_is_declared() -> None:
    app = App()
    app.get("/users/:id")(nothing)
    app.post("/users/:id")(nothing)
    with pytest.raises(RouteConflict, match=r"/users/:id.*/users/:name|/users/:name.*/users/:id"):
        app.get("/users/:name")(nothing)
    with pytest.raises(RouteConflict):
        app.get("/users/{id}")(nothing)


def test_nothing_is_added_once_the_app_serves() -> None:
    app = App()
    app.build()

    async def function(request: Request, call_next: Next) -> Response:
        return await call_next(request)

    for add in (app.get("/late"), app.middleware):
        with pytest.raises(RuntimeError, match="serving already"):
            add(function if add == app.middleware else nothing)
    with app.test_client() as client:
        assert client.get("/late").status == 404
        for hook in (app.on_startup, app.on_shutdown):
            with pytest.raises(RuntimeError, match="serving already"):
                hook(print)


# ---- handlers -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int


class Struct(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "content", "content_type"),
    [
        ({"a": [1, None, "é"]}, '{"a":[1,null,"é"]}', "application/json"),
        ([Point(1), Struct(2)], '[{"x":1},{"x":2}]', "application/json"),
        (Point(1), '{"x":1}', "application/json"),
        (Struct(1), '{"x":1}', "application/json"),
        ("é", "é", "text/plain; charset=utf-8"),
        (b"\x41", "A", "application/octet-stream"),
        ("", "", "text/plain; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_what_handlers_may_return(value: object, content: str, content_type: str, is_async: bool) -> None:
    app = App()

    async def later(request: Request) -> object:
        return value

    app.get("/")(later if is_async else lambda request: value)
    answer = ask(app)
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, content, content_type)


def test_none_is_204_without_content() -> None:
    app = App()
    app.get("/")(nothing)
    answer = ask(app)
    assert (answer.status, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


class Service:
    def method(self, request: Request) -> str:
        return "method"

    async def __call__(self, request: Request) -> str:
        return "object"


async def with_more(request: Request, factor: int = 2, *rest: int, **options: int) -> str:
    return "with defaults"


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (Service().method, "method"),
        (Service(), "object"),
        (with_more, "with defaults"),
        (functools.partial(with_more, factor=3), "with defaults"),
        (lambda request: "lambda", "lambda"),
    ],
)
def test_any_callable_of_one_argument_is_a_handler(handler: Any, text: str) -> None:
    app = App()
    app.get("/")(handler)
    assert ask(app).text == text


@pytest.mark.parametrize("handler", [lambda: None, lambda a, b: None, Service.method, lambda *, request: None])
def test_other_signatures_are_refused(handler: Any) -> None:
    with pytest.raises(TypeError, match=r"GET /x: .* must take one argument, the request"):
        App().get("/x")(handler)


@pytest.mark.parametrize("handler", ["text", None, 3])
def test_handler_that_is_no_function_is_refused(handler: Any) -> None:
    with pytest.raises(TypeError, match="GET /x"):
        App().get("/x")(handler)


def test_generator_is_no_handler() -> None:
    async def parts(request: Request) -> AsyncIterator[bytes]:
        yield b""

    def items(request: Request) -> Any:
        yield b""

    for handler in (parts, items, functools.partial(items)):
        with pytest.raises(TypeError, match=r"GET /x: .* is a generator; return Response\.stream"):
            App().get("/x")(handler)


# ---- policies -------------------------------------------------------------------------------------


def routes(app: App, environ: dict[str, str] | None = None) -> dict[str, Route]:
    """The Routes that a server makes of an app, by name."""
    router = app.build(resolve(Layers(app=app.defaults, environ=environ or {})))
    return {route.name: route for _, _, route in router.routes()}


def breaker_names(app: App, environ: dict[str, str] | None = None) -> dict[str, str | None]:
    return {name: route.breaker and route.breaker.name for name, route in routes(app, environ).items()}


def test_a_wrong_policy_is_refused_where_it_is_declared() -> None:
    app = App()
    with pytest.raises(ConfigError) as caught:
        app.get("/x", deadline="fast")
    assert str(caught.value) == (
        "route GET /x: deadline='fast', expected a duration from 1ms to 24h such as 80ms, 2s or 1m30s, or 0 to turn "
        "it off"
    )
    with pytest.raises(ConfigError, match=r"^route PUT POST /x: unknown policy 'brekaer'\. Did you mean breaker\?$"):
        app.route("/x", ["PUT", "POST"], brekaer="db")  # type: ignore[call-arg]


def test_a_route_is_made_of_its_policies() -> None:
    app = App(health=False, metrics=False)
    limits = [RateLimit("100/s"), RateLimit("1/s", by="client")]
    app.post(
        "/orders/{id}",
        deadline="80ms",
        rate_limit=limits,
        breaker="db",
        limit_body="1k",
        limit_concurrency=8,
        critical=True,
    )(nothing)
    (route,) = routes(app).values()
    assert (route.name, route.pattern, route.handler) == ("POST /orders/:id", "/orders/:id", nothing)
    assert (route.deadline_ns, route.limits, route.limit_body) == (80_000_000, tuple(limits), 1024)
    assert (route.limit_concurrency, route.critical) == (8, True)
    assert route.breaker is app.breaker("db")


def test_what_a_route_leaves_open_is_the_servers() -> None:
    app = App(health=False, metrics=False, request_timeout="1s")
    app.get("/open")(nothing)
    app.get("/none", deadline=0)(nothing)
    app.get("/own", deadline="80ms")(nothing)
    for environ, timeout_ns in (({}, 1_000_000_000), ({"REQUEST_TIMEOUT": "2s"}, 2_000_000_000)):
        deadlines = {name: route.deadline_ns for name, route in routes(app, environ).items()}
        assert deadlines == {"GET /open": timeout_ns, "GET /none": 0, "GET /own": 80_000_000}
    route = routes(app)["GET /open"]
    assert (route.limits, route.breaker, route.limit_body) == ((), None, -1)
    assert (route.limit_concurrency, route.critical) == (0, False)


def test_a_router_is_made_anew_for_each_settings() -> None:
    app = App(health=False, metrics=False)
    app.get("/", breaker=True)(nothing)
    first, second = app.build(), app.build()
    assert first is not second
    one, other = (router.routes()[0][2] for router in (first, second))
    assert one is not other
    assert one.breaker is other.breaker  # a breaker's state outlives the settings


def test_what_the_server_answers_itself_is_not_guarded() -> None:
    app = App(breaker=True, request_timeout="1s", cb_failure_threshold=5)
    for route in routes(app).values():
        assert (route.deadline_ns, route.limits, route.breaker) == (0, (), None)


def test_requests_that_no_route_takes_have_a_deadline_where_middleware_sees_them() -> None:
    app = echoing()
    app.build(resolve(Layers(app={"request_timeout": "1s"})))
    assert app.fallback is not None
    assert (app.fallback.deadline_ns, app.fallback.breaker) == (1_000_000_000, None)
    plain = App()
    plain.build()
    assert plain.fallback is None


def test_limits_of_one_name_must_be_the_same() -> None:
    app = App()
    app.get("/a", rate_limit=RateLimit("10/s", name="api"))(nothing)
    app.get("/b", rate_limit=RateLimit("10/s", name="api"))(nothing)
    with pytest.raises(ConfigError) as caught:
        app.get("/c", rate_limit=["1/s", RateLimit("20/s", name="api")])
    assert str(caught.value) == "route GET /c: rate_limit 'api' is not the same as another of this name"


# ---- circuit breakers -----------------------------------------------------------------------------


def with_breakers(**options: Any) -> App:
    """Routes with each value of the policy `breaker`."""
    app = App(health=False, metrics=False, **options)
    app.get("/silent")(nothing)
    app.get("/own", breaker=True)(nothing)
    app.get("/none", breaker=False)(nothing)
    app.route("/db", ["GET", "POST"], breaker="db")(nothing)
    return app


OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
NAMED = {"GET /own": "GET /own", "GET /none": None, "GET /db": "db", "POST /db": "db"}


@pytest.mark.parametrize(
    ("options", "environ", "silent"),
    [
        ({}, {}, None),
        ({"cb_failure_threshold": 20}, {}, "GET /silent"),
        ({}, {"CB_FAILURE_THRESHOLD": "5"}, "GET /silent"),
        ({}, {"CB_OPEN_DURATION": "1s"}, None),
        ({"breaker": True}, {}, "GET /silent"),
        ({"breaker": "api"}, {}, "api"),
        ({"breaker": False}, {"CB_FAILURE_THRESHOLD": "5"}, None),
    ],
)
def test_which_breaker_a_route_has(options: dict[str, Any], environ: dict[str, str], silent: str | None) -> None:
    assert breaker_names(with_breakers(**options), environ) == {"GET /silent": silent, **NAMED}


def test_a_threshold_of_0_takes_the_breakers_from_all_routes() -> None:
    app = with_breakers(breaker=True, cb_failure_threshold=20)
    assert set(breaker_names(app, {"CB_FAILURE_THRESHOLD": "0"}).values()) == {None}


def test_a_breaker_made_elsewhere_is_used_as_it_is() -> None:
    own = CircuitBreaker("elsewhere", failures=3)
    app = App(health=False, metrics=False, breaker=own, cb_failure_threshold=50)
    app.get("/")(nothing)
    assert routes(app)["GET /"].breaker is own
    assert own.failures == 3
    with pytest.raises(ConfigError, match="there are two of this name"):
        app.get("/other", breaker=CircuitBreaker("elsewhere"))


@pytest.mark.parametrize("value", ["", 5, CircuitBreaker()])
def test_a_wrong_breaker_of_the_app_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        App(breaker=value)
    assert str(caught.value) == f"App: breaker={value!r}, expected a name, a CircuitBreaker that has one, True or False"


def test_breakers_are_configured_by_the_settings_and_the_deadlines_of_their_routes() -> None:
    app = App(cb_failure_threshold=7, cb_open_duration="1s", request_timeout="100ms")
    app.breaker("db", open_for="3s")
    app.get("/a", breaker="db", deadline="5s")(nothing)
    app.get("/b", breaker="db", deadline="1s")(nothing)
    app.get("/c")(nothing)
    made = routes(app)
    database, own = made["GET /a"].breaker, made["GET /c"].breaker
    assert (database.failures, database.open_for_ns, database.lease_ns) == (7, 3_000_000_000, 10_000_000_000)
    assert (own.failures, own.open_for_ns, own.lease_ns) == (7, 1_000_000_000, 1_000_000_000)
    routes(app, {"CB_FAILURE_THRESHOLD": "9"})
    assert (database.failures, own.failures) == (9, 9)


def test_an_app_knows_all_of_its_breakers() -> None:
    app = with_breakers()
    own, by_hand = CircuitBreaker("made elsewhere"), app.breaker("by hand")
    app.get("/elsewhere", breaker=own)(nothing)
    app.build()
    assert {breaker.name for breaker in app.breakers} == {"db", "GET /own", "made elsewhere", "by hand"}
    assert own in app.breakers
    assert by_hand in app.breakers


def test_a_breaker_is_made_before_the_app_serves_and_found_while_it_does() -> None:
    app = App()
    made = app.breaker("db")

    @app.get("/:name")
    async def handler(request: Request) -> dict[str, bool]:
        return {"same": request.app.breaker(request.params["name"]) is made}

    with app.test_client() as client:
        assert client.get("/db").json() == {"same": True}
        assert client.get("/late").status == 500
    with pytest.raises(RuntimeError, match="breaker 'late' comes too late: the app is serving already"):
        app.breaker("late")


def test_a_breaker_guards_a_block_of_a_handler() -> None:
    app = App(health=False, metrics=False)
    database = app.breaker("db", failures=2)

    @app.get("/")
    async def handler(request: Request) -> None:
        async with database:
            raise OSError("no database")

    with app.test_client() as client:
        assert [client.get("/").status for _ in range(3)] == [500, 500, 503]
        assert "'db' is open" in client.get("/").json()["detail"]


@pytest.mark.parametrize(("limit", "octets"), [("1k", 1024), (3, 3), (0, 0)])
def test_limit_body(limit: Any, octets: int) -> None:
    app = App(limit_request_body=4)

    @app.post("/", limit_body=limit)
    @app.put("/")
    @app.patch("/", limit_body=None)
    async def handler(request: Request) -> str:
        return str(len(await request.body()))

    with app.test_client() as client:
        assert client.post("/", content=octets * b"x").text == str(octets)
        assert client.post("/", content=(octets + 1) * b"x").status == 413
        assert client.post("/", content=[octets * b"x", b"x"]).status == 413
        for other in (client.put, client.patch):
            assert other("/", content=4 * b"x").text == "4"
            assert other("/", content=5 * b"x").status == 413


def test_blocking_handler_runs_in_a_thread_with_its_variables() -> None:
    app = App()

    @app.middleware
    async def outer(request: Request, call_next: Next) -> Response:
        variable.set("set outside")
        return await call_next(request)

    @app.get("/", blocking=True)
    def handler(request: Request) -> dict[str, Any]:
        return {"thread": threading.get_ident(), "variable": variable.get(), "path": request.path}

    answer = ask(app).json()
    assert answer["thread"] != threading.get_ident()
    assert (answer["variable"], answer["path"]) == ("set outside", "/")


def test_blocking_handlers_run_side_by_side() -> None:
    app = App()
    both = threading.Barrier(2, timeout=10)

    @app.get("/", blocking=True)
    def handler(request: Request) -> str:
        return str(both.wait())

    with app.test_client() as client:

        async def ask_twice() -> set[str]:
            answers = await asyncio.gather(*(client.exchange("GET", "/") for _ in range(2)))
            return {answer.text for answer in answers}

        assert client.run(ask_twice()) == {"0", "1"}


def test_blocking_handler_may_raise() -> None:
    app = App()

    @app.get("/", blocking=True)
    def handler(request: Request) -> None:
        raise HTTPError(418, "short and stout")

    assert ask(app).json()["detail"] == "short and stout"


@pytest.mark.parametrize("handler", [nothing, Service(), functools.partial(nothing)])
def test_async_handler_must_not_be_blocking(handler: Any) -> None:
    with pytest.raises(TypeError, match="an async def handler must not block"):
        App().get("/x", blocking=True)(handler)


# ---- errors ---------------------------------------------------------------------------------------


def test_http_error_is_a_problem() -> None:
    app = App()

    @app.get("/teapots/:id")
    async def handler(request: Request) -> None:
        raise HTTPError(418, "short and stout", headers={"X-Kind": "tea"}, handles=1, type="/problems/teapot")

    answer = ask(app, path="/teapots/1?full=yes")
    assert (answer.status, answer.headers["content-type"]) == (418, "application/problem+json")
    assert answer.headers["x-kind"] == "tea"
    assert answer.json() == {
        "type": "/problems/teapot",
        "title": "I'm a Teapot",
        "status": 418,
        "detail": "short and stout",
        "instance": "/teapots/1",
        "request_id": answer.headers["x-request-id"],
        "handles": 1,
    }


# ---- what the server answers by itself ------------------------------------------------------------


def test_paths_and_methods_that_nobody_serves() -> None:
    app = App()
    app.get("/a/:id")(nothing)
    with app.test_client() as client:
        assert client.get("/b").status == 404
        refused = client.post("/a/1")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert refused.json()["detail"] == "POST is not among the methods of this path"
        options = client.options("/a/1")
        assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert client.request("OPTIONS", "*").headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def test_health_and_readiness() -> None:
    with App().test_client() as client:
        assert (client.get("/healthz").text, client.get("/readyz").text) == ("ok", "ready")
        assert client.head("/healthz").status == 200
        assert client.post("/healthz").status == 405


def test_own_health_goes_before_the_servers() -> None:
    app = App()

    @app.get("/healthz")
    async def handler(request: Request) -> str:
        return "mine"

    with app.test_client() as client:
        assert (client.get("/healthz").text, client.get("/readyz").text) == ("mine", "ready")


@pytest.mark.parametrize("path", ["/*path", "/:name"])
def test_pattern_that_covers_it_is_no_health_of_its_own(path: str) -> None:
    app = App()

    @app.get(path)
    async def handler(request: Request) -> str:
        return "pattern"

    with app.test_client() as client:
        assert [client.get(path).text for path in ("/healthz", "/readyz", "/other")] == ["ok", "ready", "pattern"]


def test_metrics_are_served_as_text_or_openmetrics() -> None:
    with App().test_client() as client:
        plain, strict = client.get("/metrics"), client.get("/metrics", headers={"Accept": OPENMETRICS})
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert strict.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert strict.text.endswith("# EOF\n")
        assert "# EOF" not in plain.text
        assert "\nhttp_server_active_requests 1\n" in plain.text  # this one
        assert client.head("/metrics").status == 200
        assert client.post("/metrics").status == 405


def test_requests_are_told_by_route_and_those_of_metrics_and_health_are_not() -> None:
    app = App()
    app.get("/shops/:shop")(nothing)
    with app.test_client() as client:
        for path in ("/shops/1", "/shops/2", "/elsewhere", "/healthz", "/metrics"):
            client.get(path)
        text = client.get("/metrics").text
    counts = re.findall(r'_count{.*?http_route="(.*?)",http_response_status_code="(\d+)".*?} (\d+)\n', text)
    assert counts == [("", "404", "1"), ("/shops/:shop", "204", "2")]


def test_own_metrics_go_before_the_servers() -> None:
    app = App()

    @app.get("/metrics")
    def own(request: Request) -> str:
        return "mine"

    with app.test_client() as client:
        assert client.get("/metrics").text == "mine"


def test_metrics_pass_through_no_guard_and_no_middleware() -> None:
    app = App(rate_limit_rps=0.001, rate_limit_capacity=1)

    @app.middleware
    async def see(request: Request, call_next: Any) -> Any:
        raise AssertionError

    with app.test_client() as client:
        assert [client.get("/metrics").status for _ in range(3)] == [200, 200, 200]


def test_metrics_can_be_turned_off() -> None:
    with App(metrics=False).test_client() as client:
        assert client.get("/metrics").status == 404


def test_metrics_with_an_address_of_their_own_are_not_served_beside_the_application() -> None:
    with App(metrics_address="127.0.0.1:0").test_client() as client:
        assert client.get("/metrics").status == 404


def test_health_can_be_turned_off() -> None:
    with App(health=False).test_client() as client:
        assert [client.get(path).status for path in ("/healthz", "/readyz")] == [404, 404]


# ---- middleware -----------------------------------------------------------------------------------


def test_first_middleware_is_the_outermost() -> None:
    app = App()
    log: list[str] = []

    def layer(name: str) -> None:
        @app.middleware
        async def function(request: Request, call_next: Next) -> Response:
            log.append(f"into {name}")
            response = await call_next(request)
            log.append(f"out of {name}")
            return response

    layer("first")
    layer("second")

    @app.get("/")
    async def handler(request: Request) -> str:
        log.append("handler")
        return "done"

    assert ask(app).text == "done"
    assert log == ["into first", "into second", "handler", "out of second", "out of first"]


def echoing() -> App:
    """An app whose middleware tells what it saw."""
    app = App()

    @app.middleware
    async def function(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers["X-Saw"] = f"{request.method} {request.path} {request.route} {response.status}"
        return response

    return app


def test_middleware_sees_and_changes_the_response() -> None:
    app = echoing()

    @app.get("/:name")
    def handler(request: Request) -> dict[str, str]:
        return {"name": request.params["name"]}

    answer = ask(app, path="/ada")
    assert answer.headers["x-saw"] == "GET /ada /:name 200"
    assert answer.json() == {"name": "ada"}


@pytest.mark.parametrize(
    ("method", "path", "saw"),
    [
        ("GET", "/nowhere", "GET /nowhere None 404"),
        ("POST", "/a/1", "POST /a/1 /a/:id 405"),
        ("DELETE", "/a/x%2Fy", "DELETE /a/x/y /a/:id 405"),
        ("OPTIONS", "/a/1", "OPTIONS /a/1 /a/:id 204"),
        ("OPTIONS", "*", "OPTIONS * None 204"),
        ("HEAD", "/a/1", "HEAD /a/1 /a/:id 204"),
    ],
)
def test_middleware_sees_what_no_route_takes_and_the_answer_is_the_same(method: str, path: str, saw: str) -> None:
    with_middleware, without = echoing(), App()
    for app in (with_middleware, without):
        app.get("/a/:id")(nothing)
    answer, plain = ask(with_middleware, method, path), ask(without, method, path)
    assert answer.headers["x-saw"] == saw
    contents = [re.sub(rb'"request_id":"[^"]+"', b"", each.content) for each in (answer, plain)]
    assert (answer.status, contents[0]) == (plain.status, contents[1])
    assert answer.headers["allow"] == plain.headers["allow"]


def test_health_does_not_pass_through_middleware() -> None:
    assert "x-saw" not in ask(echoing(), path="/healthz").headers


def test_middleware_may_answer_itself() -> None:
    app = App()

    @app.middleware
    async def function(request: Request, call_next: Next) -> Any:
        if "authorization" not in request.headers:
            raise HTTPError(401, "who are you?", headers={"WWW-Authenticate": "Basic"})
        return {"instead": "of the handler"}

    @app.get("/")
    async def handler(request: Request) -> None:
        raise AssertionError("not reached")

    refused = ask(app)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Basic")
    assert ask(app, headers={"Authorization": "Basic x"}).json() == {"instead": "of the handler"}


def test_http_error_is_a_response_for_middleware() -> None:
    app = echoing()

    @app.get("/")
    async def handler(request: Request) -> None:
        raise HTTPError(409, "taken")

    answer = ask(app)
    assert (answer.headers["x-saw"], answer.json()["detail"]) == ("GET / / 409", "taken")


def test_other_exceptions_pass_through_middleware() -> None:
    app = App()

    @app.middleware
    async def function(request: Request, call_next: Next) -> Response:
        try:
            return await call_next(request)
        except KeyError as error:
            return Response(f"caught {error}", status=503)

    @app.get("/:name")
    async def handler(request: Request) -> None:
        raise {"key": KeyError, "value": ValueError}[request.params["name"]](request.params["name"])

    with app.test_client() as client:
        assert client.get("/key").text == "caught 'key'"
        assert client.get("/value").status == 500


def test_middleware_that_forgets_its_response_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.middleware
    async def forgetful(request: Request, call_next: Next) -> None:
        await call_next(request)

    app.get("/")(nothing)
    assert ask(app).status == 500
    assert "middleware forgetful returned None; it must return the response" in caplog.text


def test_middleware_shares_state_with_handlers() -> None:
    app = App()
    app.state.greeting = "hello"

    @app.middleware
    async def function(request: Request, call_next: Next) -> Response:
        request.state.user = "ada"
        return await call_next(request)

    @app.get("/")
    async def handler(request: Request) -> str:
        return f"{request.app.state.greeting} {request.state.user}"

    assert ask(app).text == "hello ada"


@pytest.mark.parametrize("function", [lambda request, call_next: None, Service().method, "text", None])
def test_middleware_must_be_async(function: Any) -> None:
    with pytest.raises(TypeError, match="async def"):
        App().middleware(function)


def test_middleware_must_take_two_arguments() -> None:
    async def function(request: Request) -> None:
        pass

    with pytest.raises(TypeError, match=r"\(request, call_next\)"):
        App().middleware(function)  # type: ignore[type-var]


def test_object_may_be_middleware() -> None:
    class Counter:
        calls = 0

        async def __call__(self, request: Request, call_next: Next) -> Response:
            self.calls += 1
            return await call_next(request)

    app, counter = App(), Counter()
    app.middleware(counter)
    ask(app)
    assert counter.calls == 1


# ---- start and stop -------------------------------------------------------------------------------


def test_order_of_start_and_stop() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        log.append("lifespan in")
        yield
        log.append("lifespan out")

    app = App(lifespan=lifespan)

    @app.on_startup
    async def open_first() -> None:
        log.append("start 1")

    @app.on_startup
    def open_second() -> None:
        log.append("start 2")

    @app.on_shutdown
    def close_first() -> None:
        log.append("stop 1")

    @app.on_shutdown
    async def close_second() -> None:
        log.append("stop 2")

    @app.get("/")
    def handler(request: Request) -> None:
        log.append("request")

    once = ["lifespan in", "start 1", "start 2", "request", "stop 2", "stop 1", "lifespan out"]
    ask(app)
    assert log == once
    ask(app)
    assert log == once * 2


def test_lifespan_may_be_a_plain_async_generator() -> None:
    log: list[str] = []

    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.value = 7
        yield
        log.append("out")

    app = App(lifespan=lifespan)

    @app.get("/")
    def handler(request: Request) -> str:
        return str(request.app.state.value)

    assert ask(app).text == "7"
    assert log == ["out"]


def test_lifespan_must_be_a_function() -> None:
    with pytest.raises(TypeError, match="lifespan must be"):
        App(lifespan="main")  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["text", None, lambda app: None])
@pytest.mark.parametrize("kind", ["on_startup", "on_shutdown"])
def test_hooks_are_functions_without_arguments(kind: str, function: Any) -> None:
    with pytest.raises(TypeError, match=f"{kind}: .* (is no function|must take no argument)"):
        getattr(App(), kind)(function)


def test_failure_at_start_leaves_the_lifespan_and_stops_nothing_that_did_not_start() -> None:
    log: list[str] = []

    async def lifespan(app: App) -> AsyncIterator[None]:
        try:
            yield
        finally:
            log.append("out")

    app = App(lifespan=lifespan)
    app.on_shutdown(lambda: log.append("stopped"))

    @app.on_startup
    async def fail() -> None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        ask(app)
    assert log == ["out"]


def test_failure_at_stop_does_not_keep_the_rest_from_stopping() -> None:
    log: list[str] = []

    async def lifespan(app: App) -> AsyncIterator[None]:
        try:
            yield
        finally:
            log.append("out")

    app = App(lifespan=lifespan)
    app.on_shutdown(lambda: log.append("stopped"))

    @app.on_shutdown
    def fail() -> None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError, match="no database"):
        ask(app)
    assert log == ["stopped", "out"]


def test_app_runs_once_at_a_time() -> None:
    app = App()
    with app.test_client() as client:
        with pytest.raises(RuntimeError, match="runs already"):
            client.run(app.startup())
        assert client.get("/healthz").status == 200


def test_stop_without_start_is_harmless() -> None:
    app = App()
    app.on_shutdown(lambda: pytest.fail("never started"))
    asyncio.run(app.shutdown())


# ---- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"read_timeout": "soon"}, r'Invalid value "soon" for App\(read_timeout=\.\.\.\): expected a duration'),
        ({"read_timeut": "2s"}, r"App\(read_timeut=\.\.\.\) is not a setting\. Did you mean read_timeout\?"),
        ({"database_url": "sqlite:///x"}, r"App\(database_url=\.\.\.\) is not a setting"),
        ({"limit_request_fields": 0}, "expected a number from 1"),
    ],
)
def test_settings_are_checked_when_the_app_is_made(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        App(**settings)


def test_settings_are_in_force() -> None:
    with App(limit_request_fields=2, server_header=False).test_client() as client:
        answer = client.get("/healthz")
        assert answer.status == 200
        assert "server" not in answer.headers
        assert client.get("/healthz", headers={"X-One": "1"}).status == 431


# ---- the test client ------------------------------------------------------------------------------


def test_client_without_a_block_starts_with_the_first_request() -> None:
    log: list[str] = []
    app = App()
    app.on_startup(lambda: log.append("start"))
    app.on_shutdown(lambda: log.append("stop"))
    client = app.test_client()
    assert log == []
    client.get("/healthz")
    client.get("/healthz")
    assert log == ["start"]
    client.close()
    client.close()
    assert log == ["start", "stop"]


def test_client_sends_what_it_is_given() -> None:
    app = App()

    @app.post("/:name")
    async def handler(request: Request) -> dict[str, Any]:
        return {
            "client": request.client,
            "query": list(request.query.items()),
            "headers": list(request.headers.items()),
            "body": (await request.body()).decode(),
        }

    with app.test_client() as client:
        seen = client.post("/x?a=1&b=", params={"a": "2 3"}, headers={"X-Twice": "1"}, json={"k": 1}).json()
        assert seen["client"] == ["127.0.0.1", 50000]
        assert seen["query"] == [["a", "1"], ["b", ""], ["a", "2 3"]]
        assert seen["body"] == '{"k": 1}'
        assert ["x-twice", "1"] in seen["headers"]
        assert ["content-type", "application/json"] in seen["headers"]
        assert client.post("/x", content=b"octets").json()["body"] == "octets"
        assert client.post("/x", content=(part for part in (b"in ", b"", b"parts"))).json()["body"] == "in parts"


def test_client_runs_coroutines_on_the_apps_loop() -> None:
    app = App()
    lock = asyncio.Lock()

    @app.get("/")
    async def handler(request: Request) -> str:
        async with lock:
            return "locked"

    with app.test_client() as client:
        assert client.get("/").text == "locked"
        client.run(lock.acquire())


def test_client_is_told_when_there_is_no_answer() -> None:
    app = App()

    @app.get("/")
    async def handler(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise ValueError

        return Response.stream(parts())

    with pytest.raises(ConnectionResetError):
        ask(app)


def test_closing_lets_handlers_and_tasks_clean_up() -> None:
    log: list[str] = []
    app = App()

    async def linger(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0.001)
            log.append(name)

    begun = asyncio.Event()

    @app.get("/")
    async def handler(request: Request) -> None:
        begun.set()
        await linger("handler")

    app.on_shutdown(lambda: log.append("stopped"))
    with app.test_client() as client:

        async def leave_running() -> list[asyncio.Task[Any]]:
            running = [asyncio.create_task(linger("task")), asyncio.create_task(client.exchange("GET", "/"))]
            await begun.wait()
            return running

        kept = client.run(leave_running())
    assert log == ["handler", "stopped", "task"]
    assert all(task.done() for task in kept)
    assert isinstance(kept[1].exception(), ConnectionResetError)
