"""App: what a user writes against.

Owns the collecting of routes, middleware and lifespan, and their freezing into a router of
compiled Routes. Must not know connections, processes or files of settings: a server asks for
``defaults``, ``build``, ``fallback``, ``startup`` and ``shutdown`` and does the rest.
"""

import asyncio
import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from highperf.config import Layers, resolve
from highperf.core.cycle import Route, problem_for, to_response
from highperf.core.request import Request
from highperf.errors import HTTPError
from highperf.values import parse_size, quote
from highperf.wire.response import Response
from highperf.wire.router import Router

if TYPE_CHECKING:
    from highperf.testing import TestClient

Handler = Callable[[Request], Any]
H = TypeVar("H", bound=Handler)
CallNext = Callable[[Request], Awaitable[Response]]
Middleware = Callable[[Request, CallNext], Awaitable[Any]]
Lifespan = Callable[["App"], AbstractAsyncContextManager[Any]]
Hook = Callable[[], Any]

POLICIES = ("limit_body", "blocking")


class App:
    """An application: routes, middleware, and what happens at start and stop.

    Args:
        lifespan: called with the app, gives an async context manager that is entered before the
            first request and left after the last one.
        health: serve ``/healthz`` and ``/readyz`` where the app has no route of its own there.
        settings: defaults for this app's server by the names of ``--print-config``, as text or
            plain values: ``App(read_timeout="5s", limit_request_body="1m")``. Flags and the
            environment win over them.

    Raises:
        ConfigError: a setting is unknown or its value is not understood.
    """

    def __init__(self, *, lifespan: Lifespan | None = None, health: bool = True, **settings: object) -> None:
        resolve(Layers(app=settings))
        self.defaults: dict[str, object] = settings
        self.state = types.SimpleNamespace()
        self.fallback: Route | None = None
        self._health = health
        self._lifespan = lifespan
        self._routes: list[tuple[str, str, Handler, dict[str, Any]]] = []
        self._middleware: list[Middleware] = []
        self._on_startup: list[Hook] = []
        self._on_shutdown: list[Hook] = []
        self._running: AsyncExitStack | None = None
        self._router: Router | None = None

    # ---- routes -------------------------------------------------------------------------------

    def route(self, path: str, methods: Iterable[str] | str = ("GET",), **policy: Any) -> Callable[[H], H]:
        """Decorator: the function answers these methods on this path.

        Args:
            path: ``/users/:id`` or ``/users/{id}``; ``/files/*path`` or ``/files/{path:path}``.
            methods: method names, or ``"*"`` for every method.
            limit_body: largest content, in octets or as ``"64k"``; 413 above it. Default: the
                server's ``limit_request_body``.
            blocking: run a ``def`` handler in a thread, because it blocks. Default: False.

        The function takes the :class:`Request` and returns dict, list, dataclass or
        msgspec.Struct (JSON), str (text), bytes, None (204) or a :class:`Response`; it may be
        ``async def`` or, if it never blocks, ``def``.

        Raises:
            TypeError: the policy is unknown, or the handler is not callable with one argument.
            ValueError: the path or a policy's value is malformed.
            RouteConflict: when the app is built, if two routes claim the same requests.
        """
        checked = _check_policy(policy, path)
        names = ["*"] if methods == "*" else [methods] if isinstance(methods, str) else list(methods)

        def register(handler: H) -> H:
            _check_handler(handler, checked, path)
            if self._router is not None:
                raise RuntimeError(f"{path} comes too late: the app is serving already")
            for name in names:
                self._routes.append((name, path, handler, checked))
            return handler

        return register

    def get(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["GET"])``; HEAD is answered as well."""
        return self.route(path, ["GET"], **policy)

    def post(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["POST"])``."""
        return self.route(path, ["POST"], **policy)

    def put(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["PUT"])``."""
        return self.route(path, ["PUT"], **policy)

    def patch(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["PATCH"])``."""
        return self.route(path, ["PATCH"], **policy)

    def delete(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["DELETE"])``."""
        return self.route(path, ["DELETE"], **policy)

    def head(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["HEAD"])``, where HEAD is not to be answered by GET's handler."""
        return self.route(path, ["HEAD"], **policy)

    def options(self, path: str, **policy: Any) -> Callable[[H], H]:
        """``route(path, ["OPTIONS"])``, where 204 with ``Allow`` is not answer enough."""
        return self.route(path, ["OPTIONS"], **policy)

    # ---- around them --------------------------------------------------------------------------

    def middleware(self, function: Middleware) -> Middleware:
        """Decorator: wraps every handler in ``async def function(request, call_next)``.

        ``await call_next(request)`` gives the :class:`Response` of the rest; an HTTPError has
        become one by then, any other exception passes through. The first registered is the
        outermost. With any middleware, requests that no route takes pass through it too; health
        and readiness do not.
        """
        if not inspect.iscoroutinefunction(function):
            raise TypeError("middleware must be an async def function of (request, call_next)")
        self._middleware.append(function)
        return function

    def on_startup(self, function: Hook) -> Hook:
        """Decorator: called without arguments before the first request; ``def`` or ``async def``."""
        self._on_startup.append(function)
        return function

    def on_shutdown(self, function: Hook) -> Hook:
        """Decorator: called after the last request, in reverse order of registration."""
        self._on_shutdown.append(function)
        return function

    # ---- for a server -------------------------------------------------------------------------

    def build(self) -> Router:
        """Freezes the routes into a router of compiled Routes; further routes are refused.

        Raises:
            RouteConflict: two routes claim the same requests.
        """
        if self._router is None:
            router = Router()
            for method, path, handler, policy in self._routes:
                router.add(method, path, Route(path, self._wrap(handler, policy), limit_body=policy["limit_body"]))
            if self._health:
                for route in (Route("/healthz", None, answers="health"), Route("/readyz", None, answers="ready")):
                    if not router.allowed(route.pattern):
                        router.add("GET", route.pattern, route)
            if self._middleware:
                self.fallback = Route("*", self._wrap(functools.partial(_unmatched, router), {}))
            self._router = router
        return self._router

    async def startup(self) -> None:
        """Enters the lifespan and runs the start-up functions; undoes the first if the second fail."""
        async with AsyncExitStack() as stack:
            if self._lifespan is not None:
                await stack.enter_async_context(self._lifespan(self))
            for function in self._on_shutdown:
                stack.push_async_callback(_call, function)
            for function in self._on_startup:
                await _call(function)
            self._running = stack.pop_all()

    async def shutdown(self) -> None:
        """Runs the shut-down functions and leaves the lifespan; harmless if the app never started."""
        if self._running is not None:
            stack, self._running = self._running, None
            await stack.aclose()

    # ---- conveniences -------------------------------------------------------------------------

    def test_client(self) -> "TestClient":
        """A client that talks to this app without a socket; see :class:`highperf.testing.TestClient`."""
        from highperf.testing import TestClient

        return TestClient(self)

    def _wrap(self, handler: Handler, policy: dict[str, Any]) -> Handler:
        if policy.get("blocking"):
            handler = functools.partial(_call_in_thread, handler)
        if not self._middleware:
            return handler
        call: CallNext = functools.partial(_call_handler, handler)
        for function in reversed(self._middleware):
            call = functools.partial(_call_middleware, function, call)
        return call


async def _call(function: Hook) -> None:
    result = function()
    if inspect.isawaitable(result):
        await result


async def _call_in_thread(handler: Handler, request: Request) -> Any:
    return await asyncio.to_thread(handler, request)


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
        return to_response(await function(request, call_next))
    except HTTPError as error:
        return problem_for(error, request)


def _unmatched(router: Router, request: Request) -> Response:
    # What the core answers by itself while there is no middleware.
    allowed = router.allowed(request.path)
    if not allowed:
        raise HTTPError(404, "nothing is served at this path")
    if request.method == "OPTIONS":
        return Response(status=204, headers={"Allow": ", ".join(allowed)})
    raise HTTPError(
        405, f"{request.method} is not among the methods of this path", headers={"Allow": ", ".join(allowed)}
    )


def _check_policy(policy: dict[str, Any], path: str) -> dict[str, Any]:
    for name in policy:
        if name not in POLICIES:
            raise TypeError(f"route {path}: unknown policy {name!r}; there are {', '.join(POLICIES)}")
    limit = _limit_body(policy["limit_body"], path) if policy.get("limit_body") is not None else -1
    return {"limit_body": limit, "blocking": bool(policy.get("blocking", False))}


def _limit_body(given: object, path: str) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    try:
        return parse_size(given if isinstance(given, str) else "")
    except ValueError:
        shown = quote(str(given))
        raise ValueError(f"route {path}: limit_body={shown}, expected a size such as 512, 16k or 2m") from None


def _check_handler(handler: Handler, policy: dict[str, Any], path: str) -> None:
    if not callable(handler):
        raise TypeError(f"route {path}: {handler!r} is no function")
    if policy["blocking"] and inspect.iscoroutinefunction(handler):
        raise TypeError(f"route {path}: blocking=True is for def handlers; an async def handler must not block")
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise TypeError(f"route {path}: the handler must take one argument, the request") from None
    except ValueError:
        pass  # a builtin without a signature
