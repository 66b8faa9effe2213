"""App: what a user writes against.

Owns the collecting of routes, middleware and lifespan, and the making of a router of compiled
Routes: what a route's policies leave open is filled in from the settings there. Must not know
connections, processes or files of settings: a server asks for ``defaults``, ``build``, ``fallback``,
``breakers``, ``startup`` and ``shutdown`` and does the rest.
"""

import functools
import inspect
import os
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from http import HTTPMethod
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, Unpack

from highperf.breakers import Breakers
from highperf.callables import is_async, is_generator, name_of, takes
from highperf.config import Layers, Settings, resolve
from highperf.core.cycle import Route, to_response, unmatched
from highperf.core.file_answer import look_for_file
from highperf.core.problems import problem_for
from highperf.core.request import Request
from highperf.errors import ConfigError, HTTPError
from highperf.guards.breaker import CircuitBreaker
from highperf.mounts import Mount
from highperf.policies import Policy, RateLimit, RoutePolicy, read_policy
from highperf.threads import call_in_thread
from highperf.wire.patterns import parse_pattern
from highperf.wire.response import Response
from highperf.wire.router import Router

if TYPE_CHECKING:
    from highperf.testing import TestClient

Handler = Callable[[Request], Any]
CallNext = Callable[[Request], Awaitable[Response]]
Middleware = Callable[[Request, CallNext], Awaitable[Any]]
Lifespan = Callable[["App"], AbstractAsyncContextManager[Any] | AsyncIterator[Any]]
Hook = Callable[[], Any]

# What a decorator is given it gives back, with its own type.
HandlerT = TypeVar("HandlerT", bound=Handler)
MiddlewareT = TypeVar("MiddlewareT", bound=Middleware)
HookT = TypeVar("HookT", bound=Hook)

_HEALTH: Final[dict[str, Literal["health", "ready"]]] = {"/healthz": "health", "/readyz": "ready"}
_METRICS: Final = "/metrics"


class App:
    """An application: routes, middleware, and what happens at start and stop.

    Args:
        lifespan: called with the app, gives an async context manager that is entered before the
            first request and left after the last one; or an async generator function of one yield.
        health: serve ``/healthz`` and ``/readyz`` where the app has no route of its own there.
        breaker: the policy ``breaker`` of routes that declare none; see :class:`Policy`.
        settings: defaults for this app's server by the names of ``--print-config``, as text or
            plain values: ``App(read_timeout="5s", limit_request_body="1m")``. Flags and the
            environment win over them. ``metrics=False``: nothing is counted, nor served at ``/metrics``,
            where an app's own route comes first.

    Raises:
        ConfigError: a setting is unknown, or its value or `breaker` is not understood.

    Attributes:
        state: a place for what handlers share; they find it as ``request.app.state``.
    """

    def __init__(
        self,
        *,
        lifespan: Lifespan | None = None,
        health: bool = True,
        breaker: str | bool | CircuitBreaker | None = None,
        **settings: object,
    ) -> None:
        resolve(Layers(app=settings))
        self.defaults: dict[str, object] = settings
        self.state = types.SimpleNamespace()
        self.fallback: Route | None = None
        self._health = health
        self._breakers = Breakers()
        self._limits: dict[str, RateLimit] = {}  # those that have a name
        self._breaker = self._read_policy({"breaker": breaker}, "App").breaker
        self._lifespan = _checked_lifespan(lifespan)
        self._declared = Router()  # leads to (handler, policy); finds faults where they are declared
        self._middleware: list[Middleware] = []
        self._on_startup: list[Hook] = []
        self._on_shutdown: list[Hook] = []
        self._running: AsyncExitStack | None = None
        self._frozen = False

    # ---- routes -------------------------------------------------------------------------------

    def route(
        self, path: str, methods: Iterable[str] | str = ("GET",), **policy: Unpack[Policy]
    ) -> Callable[[HandlerT], HandlerT]:
        """Decorator: the function answers these methods on this path.

        Args:
            path: ``/users/:id`` or ``/users/{id}``; ``/files/*path`` or ``/files/{path:path}``.
            methods: one name or several, or ``"*"`` for every method that has no route of its own.
            policy: see :class:`Policy`.

        The function takes the :class:`Request` and returns dict, list, dataclass or
        msgspec.Struct (JSON), str (text), bytes, None (204) or a :class:`Response`; it may be
        ``async def`` or, if it never blocks, ``def``.

        Raises:
            TypeError: the handler is not callable with one argument.
            ConfigError: a policy is unknown, or its value is not understood.
            ValueError: the path or a method is malformed.
            RouteConflict: another route claims the same requests.
            RuntimeError: the app is serving already.
        """
        names = [methods] if isinstance(methods, str) else list(methods)
        place = f"{' '.join(map(str, names))} {path}"
        read = self._read_policy(policy, f"route {place}")
        _check_methods(names, place)

        def register(handler: HandlerT) -> HandlerT:
            self._refuse_when_serving(f"route {place}")
            _check_handler(handler, place, blocking=read.blocking)
            for name in names:
                self._declared.add(name, path, (handler, read))
            return handler

        return register

    def get(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["GET"])``; HEAD is answered as well."""
        return self.route(path, ["GET"], **policy)

    def post(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["POST"])``."""
        return self.route(path, ["POST"], **policy)

    def put(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["PUT"])``."""
        return self.route(path, ["PUT"], **policy)

    def patch(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["PATCH"])``."""
        return self.route(path, ["PATCH"], **policy)

    def delete(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["DELETE"])``."""
        return self.route(path, ["DELETE"], **policy)

    def head(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["HEAD"])``, where HEAD is not to be answered by GET's handler."""
        return self.route(path, ["HEAD"], **policy)

    def options(self, path: str, **policy: Unpack[Policy]) -> Callable[[HandlerT], HandlerT]:
        """``route(path, ["OPTIONS"])``, where 204 with ``Allow`` is not answer enough."""
        return self.route(path, ["OPTIONS"], **policy)

    def files(
        self,
        path: str,
        root: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        fallback: str | None = None,
        listing: bool = False,
        cache_control: str | None = None,
        precompressed: bool = True,
        follow_symlinks: bool = True,
        **policy: Unpack[Policy],
    ) -> None:
        """Serves what lies below a directory, by GET and HEAD.

            app.files("/assets/*path", "public", cache_control="public, max-age=3600")

        Answers have ETag and Last-Modified, and obey conditions and ranges (RFC 9110 sections 13 and 14).
        Whatever is missing, forbidden, no regular file, begins with a dot (but for ``.well-known``) or
        lies outside of the directory is the same 404.

        Args:
            path: ends in a catch-all, such as ``/assets/*path``.
            root: the directory; there must be one when the server starts.
            index: the file that stands for its directory; None: none does.
            fallback: path below `root` of the file to serve where there is none, for a single-page application.
            listing: show directories that have no index, as HTML or as JSON.
            cache_control: value of Cache-Control; None: no such field.
            precompressed: send a file's ``.br``, ``.zst`` or ``.gz`` sibling to clients that accept it.
            follow_symlinks: follow symbolic links that lead nowhere outside of `root`; False: none at all.
            policy: see :class:`Policy`; the deadline is that of the first octet. There is no breaker and no handler
                that could block.

        Middleware sees the answers as those of a handler, before it is known what of the file is sent.

        Raises:
            ConfigError: an argument cannot be used.
            ValueError: the path is malformed, or has no catch-all.
            RouteConflict: another route claims the same requests.
            RuntimeError: the app is serving already.
        """
        place = f"files {path}"
        self._refuse_when_serving(place)
        if not parse_pattern(path).catch_all:
            raise ValueError(f"{place}: the path must end in a catch-all such as /*path")
        for name in ("breaker", "blocking", "limit_body"):
            if name in policy:
                raise ConfigError(f"{place}: files have no policy {name!r}")
        mount = Mount(
            place=place,
            root=os.path.abspath(os.fspath(root)),
            index=index,
            fallback=fallback,
            listing=listing,
            cache_control=cache_control,
            precompressed=precompressed,
            follow_symlinks=follow_symlinks,
        )
        self._declared.add("GET", path, (mount, self._read_policy(policy, place)))

    # ---- around them --------------------------------------------------------------------------

    def middleware(self, function: MiddlewareT) -> MiddlewareT:
        """Decorator: wraps every handler in ``async def function(request, call_next)``.

        ``await call_next(request)`` gives the :class:`Response` of the rest; an HTTPError has
        become one by then, any other exception passes through. The function returns the response,
        this one or another, or what a handler may return besides None. The first registered is
        the outermost. With any middleware, requests that no route takes pass through it too;
        health and readiness do not.

        Raises:
            TypeError: the function is not async, or not callable with two arguments.
            RuntimeError: the app is serving already.
        """
        self._refuse_when_serving("middleware")
        if not is_async(function):
            raise TypeError(f"middleware must be an async def function of (request, call_next), not {function!r}")
        if not takes(function, 2):
            raise TypeError(f"middleware {name_of(function)} must take two arguments: (request, call_next)")
        self._middleware.append(function)
        return function

    def breaker(
        self,
        name: str,
        *,
        failures: int | None = None,
        open_for: str | None = None,
        longest_open: str | None = None,
        lease: str | None = None,
        volume: int | None = None,
        ratio: float | None = None,
    ) -> CircuitBreaker:
        """The circuit breaker of this name, shared by the routes that name it, by blocks, and by all workers.

            database = app.breaker("db")

            @app.get("/orders/:id")
            async def get_order(request):
                async with database:
                    ...

        A handler may ask for it as well, once it was made where the app is declared.

        Args:
            name: 1 to 64 printable ASCII characters.
            failures: calls in a row that open it; default: the server's ``cb_failure_threshold``, or 20 where
                that is 0, by which routes have no breaker.
            open_for: how long it stays open at first, as ``"2s"``; default: the server's ``cb_open_duration``.
            longest_open: how long it stays open at most while its probes fail; default: 30 s.
            lease: how long a probe may take; default: twice the longest deadline of its routes, at least 1 s.
            volume: calls within ten seconds below which the ratio does not count; default: 20, or `failures`
                where that is more.
            ratio: the failed share of calls within ten seconds that opens it; default: 0.5.

        Raises:
            ConfigError: an option is not understood, or was given another value before.
            RuntimeError: there is none of this name, and the app is serving already.
        """
        if name not in self._breakers:
            self._refuse_when_serving(f"breaker {name!r}")
        given = {
            "failures": failures,
            "open_for": open_for,
            "longest_open": longest_open,
            "lease": lease,
            "volume": volume,
            "ratio": ratio,
        }
        return self._breakers.ask(name, {option: value for option, value in given.items() if value is not None})

    def on_startup(self, function: HookT) -> HookT:
        """Decorator: called without arguments before the first request; ``def`` or ``async def``."""
        self._refuse_when_serving("on_startup function")
        _check_hook(function, "on_startup")
        self._on_startup.append(function)
        return function

    def on_shutdown(self, function: HookT) -> HookT:
        """Decorator: called after the last request, in reverse order of registration."""
        self._refuse_when_serving("on_shutdown function")
        _check_hook(function, "on_shutdown")
        self._on_shutdown.append(function)
        return function

    # ---- for a server -------------------------------------------------------------------------

    def build(self, settings: Settings | None = None) -> Router:
        """A new router of compiled Routes for these settings; from now on nothing can be added.

        Args:
            settings: default: those that the app itself gives.
        """
        self._frozen = True
        settings = settings or resolve(Layers(app=self.defaults))
        router = Router()
        routes = self._declared.routes()
        for method, pattern, (handler, policy) in routes:
            router.add(method, pattern, self._make_route(method, pattern, handler, policy, settings))
        self._configure_breakers(router, settings)
        own = {pattern for _, pattern, _ in routes}
        if self._health:
            for pattern, answers in _HEALTH.items():
                if pattern not in own:
                    router.add("GET", pattern, Route(pattern, None, answers=answers))
        if settings.metrics and not settings.metrics_address and _METRICS not in own:
            router.add("GET", _METRICS, Route(_METRICS, None, answers="metrics"))
        self.fallback = None
        if self._middleware:
            self.fallback = Route("*", self._wrap(unmatched), deadline_ns=settings.request_timeout_ns)
        return router

    @property
    def breakers(self) -> tuple[CircuitBreaker, ...]:
        """Every circuit breaker that there is, for a server to share among its workers once it has built."""
        return tuple(self._breakers)

    async def startup(self) -> None:
        """Enters the lifespan and runs the start-up functions; leaves the lifespan again if one of them fails."""
        if self._running is not None:
            raise RuntimeError("the app runs already")
        self._frozen = True
        async with AsyncExitStack() as stack:
            if self._lifespan is not None:
                await stack.enter_async_context(self._lifespan(self))
            for function in self._on_startup:
                await _call(function)
            for function in self._on_shutdown:
                stack.push_async_callback(_call, function)
            self._running = stack.pop_all()

    async def shutdown(self) -> None:
        """Runs the shut-down functions and leaves the lifespan; harmless if the app never started."""
        if self._running is not None:
            stack, self._running = self._running, None
            await stack.aclose()

    # ---- conveniences -------------------------------------------------------------------------

    def run(self, **settings: object) -> NoReturn:
        """Serves this app until a signal ends it, and exits as ``highperf-serve`` does.

            if __name__ == "__main__":
                app.run(port=8000)

        Args:
            settings: as those of :class:`App`; they win over the environment, as a flag would.

        A mistake in the settings or a failed start is one line on standard error.

        Raises:
            SystemExit: always; 0 after a clean stop, 1 after a crash or a forced one, 2 for a
                setting that is not understood, 3 if the app or its address is not to be had.
            RuntimeError: called in a coroutine or in a thread.
        """
        from highperf.server import launch

        launch.run(self, settings)

    def test_client(self) -> "TestClient":
        """A client that talks to this app without a socket; see :class:`highperf.testing.TestClient`."""
        from highperf.testing import TestClient

        return TestClient(self)

    # ---- making routes ------------------------------------------------------------------------

    def _make_route(
        self, method: str, pattern: str, handler: Handler | Mount, policy: RoutePolicy, settings: Settings
    ) -> Route:
        name = f"{method} {pattern}"
        files = None
        if isinstance(handler, Mount):
            files, policy = handler.open(), policy._replace(breaker=False)
            handler = functools.partial(look_for_file, files)
        elif policy.blocking:
            handler = functools.partial(call_in_thread, handler)
        return Route(
            pattern,
            self._wrap(handler),
            files=None if self._middleware else files,
            name=name,
            limit_body=policy.limit_body,
            deadline_ns=settings.request_timeout_ns if policy.deadline is None else policy.deadline,
            limits=policy.rate_limit,
            breaker=self._breaker_of(name, policy, settings),
            limit_concurrency=policy.limit_concurrency,
            critical=policy.critical,
        )

    def _read_policy(self, policy: Policy, place: str) -> RoutePolicy:
        read = read_policy(policy, place)
        if isinstance(read.breaker, CircuitBreaker):
            self._breakers.adopt(read.breaker)
        elif isinstance(read.breaker, str):
            self._breakers.get(read.breaker)
        for limit in read.rate_limit:
            if limit.name and self._limits.setdefault(limit.name, limit) != limit:
                raise ConfigError(f"{place}: rate_limit {limit.name!r} is not the same as another of this name")
        return read

    def _breaker_of(self, route: str, policy: RoutePolicy, settings: Settings) -> CircuitBreaker | None:
        asked = self._breaker if policy.breaker is None else policy.breaker
        if asked is None:
            asked = "cb_failure_threshold" in settings.sources  # not where that has its default
        if asked is False or settings.cb_failure_threshold == 0:
            return None
        if isinstance(asked, CircuitBreaker):
            return asked
        return self._breakers.get(route if asked is True else asked)

    def _configure_breakers(self, router: Router, settings: Settings) -> None:
        deadlines_ns: dict[str, int] = {}
        for _, _, route in router.routes():
            if route.breaker is not None:
                name = route.breaker.name
                deadlines_ns[name] = max(deadlines_ns.get(name, 0), route.deadline_ns)
        self._breakers.configure(settings.cb_failure_threshold, settings.cb_open_duration_ns, deadlines_ns)

    def _wrap(self, handler: Handler) -> Handler:
        if not self._middleware:
            return handler
        call: CallNext = functools.partial(_call_handler, handler)
        for function in reversed(self._middleware):
            call = functools.partial(_call_middleware, function, call)
        return call

    def _refuse_when_serving(self, what: str) -> None:
        if self._frozen:
            raise RuntimeError(f"{what} comes too late: the app is serving already")


async def _call(function: Hook) -> None:
    result = function()
    if inspect.isawaitable(result):
        await result


async def _call_handler(handler: Handler, request: Request) -> Response:
    try:
        result = handler(request)
        if inspect.isawaitable(result):
            result = await result
        return to_response(result)
    except HTTPError as error:
        return problem_for(error, request)


async def _call_middleware(function: Middleware, call_next: CallNext, request: Request) -> Response:
    try:
        result = await function(request, call_next)
    except HTTPError as error:
        return problem_for(error, request)
    if result is None:
        raise TypeError(f"middleware {name_of(function)} returned None; it must return the response of call_next")
    return to_response(result)


# ---- faults, told where they are declared -------------------------------------------------------


def _check_methods(names: list[str], place: str) -> None:
    if not names:
        raise ValueError(f"route {place}: it has no method")
    for name in names:
        if not name.isupper() and name.upper() in HTTPMethod.__members__:
            raise ValueError(f"route {place}: methods are written as {name.upper()!r}, not {name!r}")


def _check_handler(handler: Handler, place: str, *, blocking: bool) -> None:
    if not callable(handler):
        raise TypeError(f"route {place}: {handler!r} is no function")
    if is_generator(handler):
        raise TypeError(f"route {place}: {name_of(handler)} is a generator; return Response.stream(...) of one")
    if blocking and is_async(handler):
        raise TypeError(f"route {place}: blocking=True is for def handlers; an async def handler must not block")
    if not takes(handler, 1):
        raise TypeError(f"route {place}: {name_of(handler)} must take one argument, the request")


def _check_hook(function: Hook, kind: str) -> None:
    if not callable(function):
        raise TypeError(f"{kind}: {function!r} is no function")
    if not takes(function, 0):
        raise TypeError(f"{kind}: {name_of(function)} must take no argument")


def _checked_lifespan(lifespan: Lifespan | None) -> Callable[["App"], AbstractAsyncContextManager[Any]] | None:
    if inspect.isasyncgenfunction(lifespan):
        return asynccontextmanager(lifespan)
    if lifespan is not None and not callable(lifespan):
        raise TypeError(f"lifespan must be a function of the app, not {lifespan!r}")
    return lifespan  # type: ignore[return-value]
