"""Every setting: its names, its default, what it may be, and where its value came from.

Owns the one table, the fields of Settings: the command line, the look-up in the environment,
--env-file, App(...), --print-config and --help are all made from it, so a new setting is one entry
there. Must not know what a setting does; reads neither os.environ nor sys.argv, for the layers of
values come in as arguments. Imported by server, app and cli only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from highperf.env_file import EnvFile
from highperf.errors import ConfigError
from highperf.log_format import NAMED, parse_format
from highperf.options import PREFIX, Option, option_of
from highperf.options import setting as _setting
from highperf.values import (
    FIELD_NAME,
    KIB,
    MIB,
    TIB,
    TOKENS_MOST,
    Kind,
    Network,
    WrongElement,
    address,
    automatic,
    boolean,
    choice,
    did_you_mean,
    directory,
    duration,
    matching,
    most_tokens,
    networks,
    number,
    optional,
    permissions,
    quote,
    rate,
    secret,
    several,
    share,
    show_decimal,
    show_size,
    size,
    switchable,
)

FAILURES_MOST: Final = 10_000  # of a circuit breaker, in a row
FD_MOST: Final = 2**30
REQUESTS_MOST: Final = 1_000_000
CONNECTIONS_MOST: Final = 1_000_000_000
WORKERS_MOST: Final = 256
COUNT_MOST: Final = 1_000_000_000
BUILD_VARIABLES: Final = frozenset({"HIGHPERF_BUILD"})  # for setup.py; a developer's shell may hold it

_APPLICATION: Final = "Application"
_ADDRESS: Final = "Address"
_PROCESSES: Final = "Processes"
_TLS: Final = "TLS"
_TIMEOUTS: Final = "Timeouts"
_LIMITS: Final = "Limits"
_GUARDS: Final = "Guards"
_OUTPUT: Final = "Output"
_METRICS: Final = "Metrics"
_REFERENCE: Final = "Reference API (served when no APP is given)"


def _access_format() -> Kind:
    def parse(text: str) -> str:
        parse_format(text)
        return text

    return Kind(parse, f"{', '.join(NAMED)}, json or a format", "FORMAT")


_SWITCH: Final = boolean()
_TEXT: Final = matching(r"[^\0]+", "some text", "TEXT")
_FILE: Final = matching(r"[^\0]+", "the name of a file", "FILE")
_HOST: Final = matching(r"[^\s\0/]+", "a host name or an IP address such as 127.0.0.1, 0.0.0.0 or ::", "HOST")
_PORT: Final = number("a port number", least=0, most=65535)
_DESCRIPTOR: Final = optional(number("the number of an open file", least=0, most=FD_MOST))
_TIMEOUT: Final = duration(off=True)
_COUNT: Final = number("a whole number", least=0, most=COUNT_MOST)
_LEVEL: Final = choice("LEVEL", "critical", "error", "warning", "info", "debug")
_LOG_FORMAT: Final = choice("FORM", "text", "json")
_FILENAME: Final = matching(r"[^\0]+", "the name of a file, or - for standard output", "PATH")
_PATH: Final = matching(r"/[!-~]*|off", "a path such as /healthz, or off", "PATH")
_HEADER: Final = switchable(matching(FIELD_NAME, "a field's name", "NAME"))
_ID_HEADER: Final = switchable(matching(rf"(?=.{{1,64}}$){FIELD_NAME}", "a field's name of at most 64 letters", "NAME"))
_SECRET: Final = secret()
_TLS_VERSION: Final = choice("VERSION", "1.2", "1.3")
_CLIENT_AUTH: Final = choice("WHEN", "none", "optional", "required")
_DATABASE: Final = matching(r"sqlite:///[^\0]+", "a URL such as sqlite:///./highperf.db", "URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server, checked. Times in nanoseconds (`_ns`), sizes in octets."""

    app: str = _setting("", _TEXT, _APPLICATION, "What to serve, as module:attribute.", for_app=False)
    factory: bool = _setting(
        "false", _SWITCH, _APPLICATION, "Call what APP names: it returns the application.", for_app=False
    )
    app_dir: str = _setting(".", directory(), _APPLICATION, "Directory to import APP from.", for_app=False)
    env_file: str = _setting(
        "", _FILE, _APPLICATION, "File of NAME=VALUE lines, weaker than the environment.", for_app=False
    )

    reload: bool = _setting(
        "false",
        _SWITCH,
        _APPLICATION,
        "For development: start again when a file has changed. Needs highperf[reload].",
        for_app=False,
        for_run=True,
    )
    reload_dir: Sequence[str] = _setting(
        "",
        several(directory()),
        _APPLICATION,
        "Directories to watch instead of --app-dir.",
        for_app=False,
        for_run=True,
        unset=(),
    )
    reload_include: Sequence[str] = _setting(
        "",
        several(_TEXT),
        _APPLICATION,
        "Files that count besides *.py, as patterns.",
        for_app=False,
        for_run=True,
        unset=(),
    )
    reload_exclude: Sequence[str] = _setting(
        "",
        several(_TEXT),
        _APPLICATION,
        "Files that do not, as patterns, or directories.",
        for_app=False,
        for_run=True,
        unset=(),
    )

    host: str = _setting("127.0.0.1", _HOST, _ADDRESS, "Address to listen on.", variable="HOST")
    port: int = _setting("8080", _PORT, _ADDRESS, "Port to listen on; 0 picks a free one.", variable="PORT")
    uds: str = _setting("", _TEXT, _ADDRESS, "Path of a Unix socket to listen on instead; @name: without a file.")
    uds_permissions: int = _setting("660", permissions(), _ADDRESS, "Who may connect to the Unix socket, in octal.")
    fd: int | None = _setting(
        "", _DESCRIPTOR, _ADDRESS, "Number of an inherited socket to listen on instead.", unset=None
    )
    backlog: int = _setting("2048", number(most=65535), _ADDRESS, "Connections that may wait to be accepted.")
    forwarded_allow_ips: tuple[Network, ...] = _setting(
        "127.0.0.1,::1",
        networks(),
        _ADDRESS,
        "Proxies whose X-Forwarded-For, X-Forwarded-Proto and Forwarded are believed: addresses, networks, * or off.",
        variable="FORWARDED_ALLOW_IPS",
    )

    workers: int = _setting(
        "1",
        automatic(number(least=1, most=WORKERS_MOST)),
        _PROCESSES,
        "Worker processes; auto: as many as there are CPUs for them.",
        variable="WEB_CONCURRENCY",
        for_app=False,
        for_run=True,
    )
    max_requests: int = _setting(
        "0", _COUNT, _PROCESSES, "A worker that has served so many gives way to a fresh one. 0: never."
    )
    max_requests_jitter: int = _setting(
        "0", _COUNT, _PROCESSES, "As many more at most, by chance, so that not all workers go at once."
    )
    worker_max_rss: int = _setting(
        "0", size(off=True, least=MIB, most=TIB), _PROCESSES, "The same for a worker with so much memory in use."
    )
    timeout_worker_healthcheck_ns: int = _setting(
        "30s", _TIMEOUT, _PROCESSES, "A worker whose loop has not turned for this time is killed and replaced."
    )
    pid_file: str = _setting("", _TEXT, _PROCESSES, "File to write the process id to.", for_app=False, for_run=True)

    ssl_certfile: str = _setting(
        "", _FILE, _TLS, "PEM file of the certificate, and of those between it and its root; given, HTTPS is served."
    )
    ssl_keyfile: str = _setting(
        "", _FILE, _TLS, "PEM file of the certificate's private key, unless --ssl-certfile holds it too."
    )
    ssl_keyfile_password: str = _setting(
        "", _SECRET, _TLS, "Password of an encrypted key; a flag shows in lists of processes, a variable does not."
    )
    ssl_min_version: str = _setting("1.2", _TLS_VERSION, _TLS, "Oldest version of TLS to speak: 1.2 or 1.3.")
    ssl_ca_certs: str = _setting("", _FILE, _TLS, "PEM file of the authorities that clients' certificates come from.")
    ssl_client_auth: str = _setting("none", _CLIENT_AUTH, _TLS, "Client certificates: none, optional or required.")
    ssl_handshake_timeout_ns: int = _setting(
        "10s", duration(off=False), _TLS, "A TLS handshake must be complete this long after connecting."
    )

    read_timeout_ns: int = _setting(
        "2s",
        _TIMEOUT,
        _TIMEOUTS,
        "A request head must be complete, and a body make progress, within this time.",
        variable="READ_TIMEOUT",
    )
    write_timeout_ns: int = _setting(
        "2s", _TIMEOUT, _TIMEOUTS, "A response must make progress within this time.", variable="WRITE_TIMEOUT"
    )
    idle_timeout_ns: int = _setting(
        "60s", _TIMEOUT, _TIMEOUTS, "An idle keep-alive connection is closed after this time.", variable="IDLE_TIMEOUT"
    )
    shutdown_timeout_ns: int = _setting(
        "5s",
        duration(off=False),
        _TIMEOUTS,
        "Running requests may go on for this time after SIGTERM or SIGINT.",
        variable="SHUTDOWN_TIMEOUT",
    )

    shutdown_delay_ns: int = _setting(
        "0",
        _TIMEOUT,
        _TIMEOUTS,
        "Connections are still accepted for this time after SIGTERM or SIGINT; readiness says no at once.",
    )

    limit_request_body: int = _setting(
        "16m", size(most=TIB), _LIMITS, "Longest request body; above it 413.", variable="LIMIT_REQUEST_BODY"
    )
    limit_request_line: int = _setting(
        "8k",
        size(least=32, most=32 * KIB),
        _LIMITS,
        "Longest request line; above it 414.",
        variable="LIMIT_REQUEST_LINE",
    )
    limit_request_fields: int = _setting(
        "100", number(most=10_000), _LIMITS, "Most header fields; above it 431.", variable="LIMIT_REQUEST_FIELDS"
    )
    limit_request_field_size: int = _setting(
        "16k",
        size(least=32, most=MIB),
        _LIMITS,
        "Longest header field; above it 431.",
        variable="LIMIT_REQUEST_FIELD_SIZE",
    )

    limit_body_rate: int = _setting(
        "240",
        size(off=True, most=MIB),
        _LIMITS,
        "Octets a second that a body must come at, and an answer be taken at, on average after 10s. 0: any.",
        variable="LIMIT_BODY_RATE",
    )
    limit_connections: int = _setting(
        "0",
        number("a whole number", least=0, most=CONNECTIONS_MOST),
        _LIMITS,
        "Connections that one worker keeps open; then idle and unfinished ones end. 0: as many as files may be open.",
        variable="LIMIT_CONNECTIONS",
    )

    rate_limit_rps: float = _setting(
        "0",
        rate(),
        _GUARDS,
        "Requests per second over all workers; above them 429. 0: any number. The reference API has 1000.",
        variable="RATE_LIMIT_RPS",
    )
    rate_limit_capacity: int = _setting(
        "0",
        number("a whole number", least=0, most=TOKENS_MOST),
        _GUARDS,
        "Requests that may come at once. 0: as many as come in one second. The reference API has 1000.",
        variable="RATE_LIMIT_CAPACITY",
    )
    cb_failure_threshold: int = _setting(
        "20",
        number("a whole number", least=0, most=FAILURES_MOST),
        _GUARDS,
        "Failures in a row that open a circuit breaker; given here, every route has one. 0: none has.",
        variable="CB_FAILURE_THRESHOLD",
    )
    cb_open_duration_ns: int = _setting(
        "2s",
        duration(off=False),
        _GUARDS,
        "An open circuit breaker refuses with 503 for this time, and longer while its probes fail.",
        variable="CB_OPEN_DURATION",
    )
    request_timeout_ns: int = _setting(
        "0",
        _TIMEOUT,
        _GUARDS,
        "Deadline of routes that have none of their own; then 504. The reference API has 100ms.",
        variable="REQUEST_TIMEOUT",
    )
    request_timeout_header: str = _setting(
        "Request-Timeout", _HEADER, _GUARDS, "Field by which a client may shorten its deadline; off: none."
    )
    limit_concurrency: int = _setting(
        "512",
        number("a whole number", least=0, most=REQUESTS_MOST),
        _GUARDS,
        "Requests that may run at once in one worker; above it 503. 0: any number.",
        variable="LIMIT_CONCURRENCY",
    )

    server_header: bool = _setting("true", _SWITCH, _OUTPUT, "Send the Server header.")
    request_id_header: str = _setting(
        "X-Request-ID",
        _ID_HEADER,
        _OUTPUT,
        "Field that answers tell the request's id in, and that trusted proxies may give it in; off: none.",
    )
    log_level: str = _setting("info", _LEVEL, _OUTPUT, "Least severe event to log.")
    log_format: str = _setting("text", _LOG_FORMAT, _OUTPUT, "Form of the events on standard error: text or json.")
    access_log: bool = _setting("true", _SWITCH, _OUTPUT, "Write a line for each request that was answered.")
    access_log_format: str = _setting(
        "default",
        _access_format(),
        _OUTPUT,
        "Form of these lines: default, common, combined, json, or gunicorn's atoms.",
    )
    access_log_file: str = _setting(
        "-", _FILENAME, _OUTPUT, "File to write them to, which USR1 opens anew; -: standard output."
    )
    access_log_exclude: Sequence[str] = _setting(
        "/healthz,/readyz,/metrics",
        several(_PATH),
        _OUTPUT,
        "Paths whose requests are left out; off: none.",
    )
    access_log_slow_ns: int = _setting(
        "0", _TIMEOUT, _OUTPUT, "Only requests that took longer than this, and those with status 5xx."
    )
    access_log_sample: float | None = _setting(
        "",
        optional(share()),
        _OUTPUT,
        "Share of the others that are told as well. Without: none beside --access-log-slow, else all.",
        unset=None,
    )

    metrics: bool = _setting("true", _SWITCH, _METRICS, "Count requests, and serve /metrics for Prometheus.")
    metrics_address: str = _setting(
        "",
        address(),
        _METRICS,
        "Serve /metrics there, without TLS, with /healthz and /readyz, instead of beside the application.",
        variable="METRICS_ADDRESS",
    )

    database_url: str = _setting(
        "sqlite:///./highperf.db",
        _DATABASE,
        _REFERENCE,
        "Where the users are kept.",
        variable="DATABASE_URL",
        for_app=False,
        reference_only=True,
    )
    files_root: str = _setting(
        "./public",
        matching(r"[^\0]+", "a directory", "DIRECTORY"),
        _REFERENCE,
        "What /files/ serves. Where the default is missing, nothing.",
        variable="FILES_ROOT",
        for_app=False,
        reference_only=True,
    )

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)  # by Option.name; not defaults
    address_is_flag: bool = field(default=False, compare=False, repr=False)  # or app.run's: stronger than systemd's

    @property
    def scheme(self) -> str:
        """Of the URLs that are served: http or https."""
        return "https" if self.ssl_certfile else "http"

    @property
    def limit_request_head(self) -> int:
        """Longest head in all: 64 KiB, or more where one line and one field together may be longer."""
        return max(64 * KIB, self.limit_request_line + self.limit_request_field_size)

    @property
    def rate_limit_burst(self) -> int:
        """Requests that the rate limit lets come at once: its capacity, or else what one second brings; 0: off."""
        if not self.rate_limit_rps:
            return 0
        return self.rate_limit_capacity or max(1, int(self.rate_limit_rps))


OPTIONS: Final = tuple(option_of(item.name, item.metadata) for item in fields(Settings) if item.metadata)


# What each kind of address consists of, the most special first.
_TCP: Final = frozenset({"host", "port"})
_ADDRESSES: Final = (frozenset({"fd"}), frozenset({"uds"}), _TCP)


class Layer(IntEnum):
    """Where a value may come from, the strongest first."""

    FLAG = 0
    RUN = 1
    ENVIRONMENT = 2
    ENV_FILE = 3
    APP = 4


class Layers(NamedTuple):
    """The values that were given, the strongest layer first. `flags` maps Option.name to text.

    `run` holds the arguments of app.run(...), which stand for flags where there is no command line.
    """

    flags: Mapping[str, str] = MappingProxyType({})
    environ: Mapping[str, str] = MappingProxyType({})
    env_file: EnvFile = EnvFile()
    app: Mapping[str, object] = MappingProxyType({})
    run: Mapping[str, object] = MappingProxyType({})

    def candidates(self, option: Option) -> Iterator[tuple[str, str, Layer]]:
        """Each value given for the option, with its source. An empty variable counts as not set."""
        if option.name in self.flags:
            yield self.flags[option.name], _flag_source(option, self.flags[option.name]), Layer.FLAG
        if option.name in self.run:
            yield _text_of(self.run[option.name]), f"app.run({option.name}=...)", Layer.RUN
        if text := self.environ.get(option.variable):
            yield text, f"environment variable {option.variable}", Layer.ENVIRONMENT
        if text := self.env_file.values.get(option.variable):
            yield text, f"{option.variable} in {self.env_file.path}", Layer.ENV_FILE
        if option.name in self.app:
            yield str(self.app[option.name]), f"App({option.name}=...)", Layer.APP


def resolve(layers: Layers) -> Settings:
    """The settings that these layers make. ConfigError names the source, the value and what was expected."""
    _refuse_unknown(layers.app, "App", [option.name for option in OPTIONS if option.for_app])
    _refuse_unknown(layers.run, "app.run", [option.name for option in OPTIONS if option.for_run])
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    found_in: dict[str, Layer] = {}
    for option in OPTIONS:
        if option.reference_only and "app" in values:
            # DATABASE_URL in the environment is the user's application's own business.
            if option.name in layers.flags:
                raise ConfigError(f"{option.flag} belongs to the reference API: leave out either it or APP.")
            continue
        for text, source, layer in layers.candidates(option):
            values[option.attribute] = _parse(option, text, source)
            sources[option.name] = source
            found_in[option.name] = layer
            break
    for name in _weaker_addresses(found_in, sources):
        del values[name], sources[name]
    address_is_flag = any(found_in.get(name, Layer.APP) <= Layer.RUN for names in _ADDRESSES for name in names)
    settings = Settings(**values, sources=sources, address_is_flag=address_is_flag)
    _check_capacity(settings)
    return settings


def as_texts(settings: Settings) -> dict[str, str]:
    """What another process needs to have the same settings, without their sources: see from_texts."""
    return {option.name: option.kind.show(getattr(settings, option.attribute)) for option in OPTIONS}


def from_texts(texts: Mapping[str, str]) -> Settings:
    """The settings of another process, of another version perhaps, which knows others: those have their default."""
    given = {option.attribute: option.kind.parse(text) for option in OPTIONS if (text := texts.get(option.name))}
    return Settings(**given)


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value and source of every setting in force."""
    rows = []
    for option in OPTIONS:
        if not (option.reference_only and settings.app):
            value = option.kind.show(getattr(settings, option.attribute))
            rows.append((option.name, value, settings.sources.get(option.name, "default")))
    rows.append(("limit_request_head", show_size(settings.limit_request_head), "derived"))
    rows.append(("rate_limit_burst", str(settings.rate_limit_burst), "derived"))
    return rows


def unknown_variables(names: Mapping[str, str]) -> list[str]:
    """A sentence for each HIGHPERF_ variable that is no setting."""
    known = {option.variable for option in OPTIONS} | BUILD_VARIABLES
    # Compared without the prefix, which would make any two alike; HIGHPERF_PORT is found as PORT.
    bare = {option.variable.removeprefix(PREFIX): option.variable for option in OPTIONS}
    sentences = []
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known:
            from difflib import get_close_matches

            close = get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            hint = f" Did you mean {bare[close[0]]}?" if close else ""
            sentences.append(f"{name} is not a setting.{hint}")
    return sentences


def _parse(option: Option, text: str, source: str) -> Any:
    try:
        return option.kind.parse(text)
    except WrongElement as error:
        raise ConfigError(f"Invalid element {quote(error.element)} of {source}: expected {error.expected}.") from None
    except ValueError:
        raise ConfigError(f"Invalid value {quote(text)} for {source}: expected {option.kind.expected}.") from None


def _weaker_addresses(found_in: Mapping[str, Layer], sources: Mapping[str, str]) -> list[str]:
    """The options of an address that a stronger layer replaces by one of another kind. ConfigError where one
    layer gives two kinds; but PORT and HOST in the environment are others' too, and give way there."""
    given = [name for names in _ADDRESSES for name in names if name in found_in]
    strongest = min(given, key=lambda name: found_in[name], default="")
    others = [name for name in given if not any({name, strongest} <= names for names in _ADDRESSES)]
    for name in others:
        layer = found_in[name]
        if layer == found_in[strongest] and not (layer == Layer.ENVIRONMENT and name in _TCP):
            raise ConfigError(
                f"There are two addresses, from {sources[strongest]} and from {sources[name]}: leave one out."
            )
    return others


def _check_capacity(settings: Settings) -> None:
    given, most = settings.rate_limit_capacity, most_tokens(settings.rate_limit_rps)
    if settings.rate_limit_rps and given > most:
        source, per_second = settings.sources["rate_limit_capacity"], show_decimal(settings.rate_limit_rps)
        reason = f"expected at most {most}, which come back within 90 days at {per_second} a second"
        raise ConfigError(f"Invalid value {quote(str(given))} for {source}: {reason}.")


def _flag_source(option: Option, text: str) -> str:
    if option.is_argument:
        return "argument APP"
    if option.is_switch and text == "false":
        return f"flag --no-{option.flag[2:]}"
    return f"flag {option.flag}"


def _text_of(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _refuse_unknown(given: Mapping[str, object], caller: str, known: list[str]) -> None:
    for name in given:
        if other := next((option for option in OPTIONS if option.name == name and name not in known), None):
            raise ConfigError(f"{caller}({name}=...) is not a setting: use {other.flag} or {other.variable}.")
        if name not in known:
            raise ConfigError(f"{caller}({name}=...) is not a setting.{did_you_mean(name, known)}")
