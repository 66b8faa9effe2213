"""Where settings come from, which one wins, and what is said about one that cannot be used."""

import dataclasses
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from highperf.config import (
    OPTIONS,
    Layers,
    Settings,
    as_texts,
    describe,
    from_texts,
    resolve,
    unknown_variables,
)
from highperf.env_file import EnvFile, read_env_file
from highperf.errors import ConfigError
from highperf.log_format import ATOMS

SECOND = 1_000_000_000
# The user contract: option, variable, default.
CONTRACT = [
    ("host", "HOST", "127.0.0.1"),
    ("port", "PORT", 8080),
    ("read_timeout_ns", "READ_TIMEOUT", 2 * SECOND),
    ("write_timeout_ns", "WRITE_TIMEOUT", 2 * SECOND),
    ("idle_timeout_ns", "IDLE_TIMEOUT", 60 * SECOND),
    ("shutdown_timeout_ns", "SHUTDOWN_TIMEOUT", 5 * SECOND),
    ("shutdown_delay_ns", "HIGHPERF_SHUTDOWN_DELAY", 0),
    ("workers", "WEB_CONCURRENCY", 1),
    ("max_requests", "HIGHPERF_MAX_REQUESTS", 0),
    ("max_requests_jitter", "HIGHPERF_MAX_REQUESTS_JITTER", 0),
    ("worker_max_rss", "HIGHPERF_WORKER_MAX_RSS", 0),
    ("timeout_worker_healthcheck_ns", "HIGHPERF_TIMEOUT_WORKER_HEALTHCHECK", 30 * SECOND),
    ("pid_file", "HIGHPERF_PID_FILE", ""),
    ("limit_request_body", "LIMIT_REQUEST_BODY", 16 * 1024**2),
    ("limit_request_line", "LIMIT_REQUEST_LINE", 8 * 1024),
    ("limit_request_fields", "LIMIT_REQUEST_FIELDS", 100),
    ("limit_request_field_size", "LIMIT_REQUEST_FIELD_SIZE", 16 * 1024),
    ("limit_body_rate", "LIMIT_BODY_RATE", 240),
    ("limit_connections", "LIMIT_CONNECTIONS", 0),
    ("rate_limit_rps", "RATE_LIMIT_RPS", 0.0),
    ("rate_limit_capacity", "RATE_LIMIT_CAPACITY", 0),
    ("cb_failure_threshold", "CB_FAILURE_THRESHOLD", 20),
    ("cb_open_duration_ns", "CB_OPEN_DURATION", 2 * SECOND),
    ("request_timeout_ns", "REQUEST_TIMEOUT", 0),
    ("request_timeout_header", "HIGHPERF_REQUEST_TIMEOUT_HEADER", "Request-Timeout"),
    ("limit_concurrency", "LIMIT_CONCURRENCY", 512),
    ("database_url", "DATABASE_URL", "sqlite:///./highperf.db"),
    ("files_root", "FILES_ROOT", "./public"),
    ("app", "HIGHPERF_APP", ""),
    ("factory", "HIGHPERF_FACTORY", False),
    ("app_dir", "HIGHPERF_APP_DIR", "."),
    ("env_file", "HIGHPERF_ENV_FILE", ""),
    ("uds", "HIGHPERF_UDS", ""),
    ("uds_permissions", "HIGHPERF_UDS_PERMISSIONS", 0o660),
    ("fd", "HIGHPERF_FD", None),
    ("ssl_certfile", "HIGHPERF_SSL_CERTFILE", ""),
    ("ssl_keyfile", "HIGHPERF_SSL_KEYFILE", ""),
    ("ssl_keyfile_password", "HIGHPERF_SSL_KEYFILE_PASSWORD", ""),
    ("ssl_min_version", "HIGHPERF_SSL_MIN_VERSION", "1.2"),
    ("ssl_ca_certs", "HIGHPERF_SSL_CA_CERTS", ""),
    ("ssl_client_auth", "HIGHPERF_SSL_CLIENT_AUTH", "none"),
    ("ssl_handshake_timeout_ns", "HIGHPERF_SSL_HANDSHAKE_TIMEOUT", 10 * SECOND),
    ("backlog", "HIGHPERF_BACKLOG", 2048),
    ("reload", "HIGHPERF_RELOAD", False),
    ("reload_dir", "HIGHPERF_RELOAD_DIR", ()),
    ("reload_include", "HIGHPERF_RELOAD_INCLUDE", ()),
    ("reload_exclude", "HIGHPERF_RELOAD_EXCLUDE", ()),
    ("forwarded_allow_ips", "FORWARDED_ALLOW_IPS", (ip_network("127.0.0.1"), ip_network("::1"))),
    ("server_header", "HIGHPERF_SERVER_HEADER", True),
    ("request_id_header", "HIGHPERF_REQUEST_ID_HEADER", "X-Request-ID"),
    ("log_level", "HIGHPERF_LOG_LEVEL", "info"),
    ("metrics", "HIGHPERF_METRICS", True),
    ("metrics_address", "METRICS_ADDRESS", ""),
    ("log_format", "HIGHPERF_LOG_FORMAT", "text"),
    ("access_log", "HIGHPERF_ACCESS_LOG", True),
    ("access_log_format", "HIGHPERF_ACCESS_LOG_FORMAT", "default"),
    ("access_log_file", "HIGHPERF_ACCESS_LOG_FILE", "-"),
    ("access_log_exclude", "HIGHPERF_ACCESS_LOG_EXCLUDE", ("/healthz", "/readyz", "/metrics")),
    ("access_log_slow_ns", "HIGHPERF_ACCESS_LOG_SLOW", 0),
    ("access_log_sample", "HIGHPERF_ACCESS_LOG_SAMPLE", None),
]


def test_names_and_defaults_are_those_of_the_contract() -> None:
    settings = Settings()
    found = {(option.attribute, option.variable, getattr(settings, option.attribute)) for option in OPTIONS}
    assert found == set(CONTRACT)


def test_nothing_given_makes_the_defaults() -> None:
    assert resolve(Layers()) == Settings()


def test_each_layer_gives_way_to_the_one_above_it() -> None:
    layers = Layers(
        flags={"port": "1"},
        environ={"PORT": "2"},
        env_file=EnvFile("prod.env", {"PORT": "3"}),
        app={"port": 4},
    )
    seen = []
    for weaker in ({}, {"flags": {}}, {"environ": {}}, {"env_file": EnvFile()}, {"app": {}}):
        layers = layers._replace(**weaker)
        settings = resolve(layers)
        seen.append((settings.port, settings.sources.get("port")))
    assert seen == [
        (1, "flag --port"),
        (2, "environment variable PORT"),
        (3, "PORT in prod.env"),
        (4, "App(port=...)"),
        (8080, None),
    ]


def test_only_the_value_that_wins_is_judged() -> None:
    assert resolve(Layers(flags={"port": "1"}, environ={"PORT": "wrong"})).port == 1


def test_a_list_has_commas_and_may_have_spaces() -> None:
    settings = resolve(Layers(flags={"reload_include": "*.html, *.css", "reload_dir": "."}))
    assert (settings.reload_include, settings.reload_dir) == (("*.html", "*.css"), (".",))
    assert ("reload_include", "*.html,*.css", "flag --reload-include") in describe(settings)
    assert resolve(Layers(run={"reload_include": ["*.html", "*.css"]})).reload_include == ("*.html", "*.css")


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = resolve(Layers(environ={"PORT": ""}, env_file=EnvFile("e", {"PORT": "3", "HOST": ""})))
    assert (settings.port, settings.host) == (3, "127.0.0.1")


def test_a_port_in_the_environment_leaves_the_host_alone() -> None:
    settings = resolve(Layers(environ={"PORT": "80"}))
    assert (settings.host, settings.port) == ("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("given", "attribute", "value"),
    [
        ({"port": 81}, "port", 81),
        ({"port": "81"}, "port", 81),
        ({"read_timeout": "250ms"}, "read_timeout_ns", SECOND // 4),
        ({"idle_timeout": 0}, "idle_timeout_ns", 0),
        ({"limit_request_body": 4096}, "limit_request_body", 4096),
        ({"limit_request_body": "4k"}, "limit_request_body", 4096),
        ({"server_header": False}, "server_header", False),
        ({"rate_limit_rps": 1000}, "rate_limit_rps", 1000.0),
        ({"rate_limit_rps": 0.5}, "rate_limit_rps", 0.5),
        ({"rate_limit_rps": "1000000000"}, "rate_limit_rps", 1e9),
        ({"rate_limit_capacity": 1}, "rate_limit_capacity", 1),
        ({"cb_failure_threshold": 0}, "cb_failure_threshold", 0),
        ({"cb_open_duration": "500ms"}, "cb_open_duration_ns", SECOND // 2),
        ({"request_timeout": "80ms"}, "request_timeout_ns", 80_000_000),
        ({"request_timeout": 0}, "request_timeout_ns", 0),
        ({"request_timeout_header": "X-Budget"}, "request_timeout_header", "X-Budget"),
        ({"request_timeout_header": "off"}, "request_timeout_header", ""),
        ({"request_timeout_header": ""}, "request_timeout_header", ""),
        ({"limit_concurrency": 0}, "limit_concurrency", 0),
        ({"forwarded_allow_ips": "off"}, "forwarded_allow_ips", ()),
        ({"forwarded_allow_ips": "10.0.0.0/8"}, "forwarded_allow_ips", (ip_network("10.0.0.0/8"),)),
        ({"forwarded_allow_ips": "*"}, "forwarded_allow_ips", (ip_network("0.0.0.0/0"), ip_network("::/0"))),
        ({"uds": "/run/shop.sock"}, "uds", "/run/shop.sock"),
        ({"uds_permissions": "0666"}, "uds_permissions", 0o666),
        ({"fd": 0}, "fd", 0),
    ],
)
def test_app_takes_text_and_plain_values(given: dict[str, object], attribute: str, value: object) -> None:
    assert getattr(resolve(Layers(app=given)), attribute) == value


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            Layers(flags={"port": "http"}),
            'Invalid value "http" for flag --port: expected a port number from 0 to 65535.',
        ),
        (
            Layers(environ={"READ_TIMEOUT": "2"}),
            'Invalid value "2" for environment variable READ_TIMEOUT: expected a duration from 1ms to 24h '
            "such as 80ms, 2s or 1m30s, or 0 to turn it off.",
        ),
        (
            Layers(environ={"SHUTDOWN_TIMEOUT": "0"}),
            'Invalid value "0" for environment variable SHUTDOWN_TIMEOUT: expected a duration from 1ms to 24h '
            "such as 80ms, 2s or 1m30s.",
        ),
        (
            Layers(env_file=EnvFile("prod.env", {"LIMIT_REQUEST_LINE": "1g"})),
            'Invalid value "1g" for LIMIT_REQUEST_LINE in prod.env: expected a size from 32 to 32k such as 512, '
            "16k or 2m.",
        ),
        (
            Layers(app={"backlog": -1}),
            'Invalid value "-1" for App(backlog=...): expected a number from 1 to 65535.',
        ),
        (
            Layers(app={"port": None}),
            'Invalid value "None" for App(port=...): expected a port number from 0 to 65535.',
        ),
        (
            Layers(environ={"HIGHPERF_SERVER_HEADER": "2"}),
            'Invalid value "2" for environment variable HIGHPERF_SERVER_HEADER: expected true or false '
            "(or yes, no, on, off, 1, 0).",
        ),
        (
            Layers(flags={"log_level": "trace"}),
            'Invalid value "trace" for flag --log-level: expected one of critical, error, warning, info, debug.',
        ),
        (
            Layers(flags={"access_log_format": "%(h)s %(zz)s"}),
            'Invalid element "%(zz)s" of flag --access-log-format: expected one of '
            f"{', '.join(ATOMS)}, {{name}}i, {{name}}o as the atom.",
        ),
        (
            Layers(environ={"HIGHPERF_ACCESS_LOG_FORMAT": "jsn"}),
            'Invalid element "jsn" of environment variable HIGHPERF_ACCESS_LOG_FORMAT: expected '
            "common, combined, default, json or a format with atoms.",
        ),
        (
            Layers(flags={"access_log_exclude": "/healthz,metrics"}),
            'Invalid value "/healthz,metrics" for flag --access-log-exclude: expected a path such as /healthz, or off, '
            "or several with commas between.",
        ),
        (
            Layers(flags={"access_log_sample": "2"}),
            'Invalid value "2" for flag --access-log-sample: expected a number from 0 to 1 such as 0.01.',
        ),
        (
            Layers(environ={"DATABASE_URL": "postgresql://h/d"}),
            'Invalid value "postgresql://h/d" for environment variable DATABASE_URL: expected a URL such as '
            "sqlite:///./highperf.db.",
        ),
        (
            Layers(flags={"forwarded_allow_ips": "127.0.0.1,10.0.0.1/8"}),
            'Invalid element "10.0.0.1/8" of flag --forwarded-allow-ips: expected 10.0.0.0/8 for the whole network, '
            "or 10.0.0.1 for one address.",
        ),
        (
            Layers(environ={"FORWARDED_ALLOW_IPS": "10.0.0.0/8, proxy.local"}),
            'Invalid element "proxy.local" of environment variable FORWARDED_ALLOW_IPS: expected an address or '
            "network such as 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32, or * for everyone.",
        ),
        (
            Layers(flags={"host": "http://a"}),
            'Invalid value "http://a" for flag --host: expected a host name or an IP address such as 127.0.0.1, '
            "0.0.0.0 or ::.",
        ),
        (
            Layers(flags={"app_dir": "./missing"}),
            'Invalid value "./missing" for flag --app-dir: expected an existing directory.',
        ),
        (
            Layers(environ={"WEB_CONCURRENCY": "many"}),
            'Invalid value "many" for environment variable WEB_CONCURRENCY: expected a number from 1 to 256, or auto.',
        ),
        (
            Layers(run={"workers": 0}),
            'Invalid value "0" for app.run(workers=...): expected a number from 1 to 256, or auto.',
        ),
        (Layers(app={"workers": 2}), "App(workers=...) is not a setting: use --workers or WEB_CONCURRENCY."),
        (
            Layers(flags={"worker_max_rss": "512"}),
            'Invalid value "512" for flag --worker-max-rss: expected a size from 1m to 1048576m such as 200m, or 0 '
            "to turn it off.",
        ),
        (
            Layers(flags={"max_requests": "-1"}),
            'Invalid value "-1" for flag --max-requests: expected a whole number from 0 to 1000000000.',
        ),
        (
            Layers(environ={"PORT": "1\n2"}),
            'Invalid value "1\\n2" for environment variable PORT: expected a port number from 0 to 65535.',
        ),
        *(
            (
                Layers(environ={"RATE_LIMIT_RPS": text}),
                f'Invalid value "{text}" for environment variable RATE_LIMIT_RPS: expected a number from 0.0001 to '
                "1000000000 such as 1000 or 0.5, or 0 to turn it off.",
            )
            for text in ("-1", "nan", "inf", "1e3", "2000000000", "0.00001", "100/s", "1.", ".5")
        ),
        (
            Layers(app={"rate_limit_capacity": -1}),
            'Invalid value "-1" for App(rate_limit_capacity=...): expected a whole number from 0 to 1000000000.',
        ),
        (
            Layers(app={"rate_limit_capacity": 1.5}),
            'Invalid value "1.5" for App(rate_limit_capacity=...): expected a whole number from 0 to 1000000000.',
        ),
        (
            Layers(app={"rate_limit_rps": 0.5}, environ={"RATE_LIMIT_CAPACITY": "3888001"}),
            'Invalid value "3888001" for environment variable RATE_LIMIT_CAPACITY: expected at most 3888000, '
            "which come back within 90 days at 0.5 a second.",
        ),
        (
            Layers(flags={"cb_failure_threshold": "many"}),
            'Invalid value "many" for flag --cb-failure-threshold: expected a whole number from 0 to 10000.',
        ),
        (
            Layers(environ={"CB_OPEN_DURATION": "0"}),
            'Invalid value "0" for environment variable CB_OPEN_DURATION: expected a duration from 1ms to 24h '
            "such as 80ms, 2s or 1m30s.",
        ),
        (
            Layers(flags={"request_timeout_header": "Request Timeout"}),
            'Invalid value "Request Timeout" for flag --request-timeout-header: expected a field\'s name, or off.',
        ),
        (
            Layers(environ={"LIMIT_CONCURRENCY": "-1"}),
            'Invalid value "-1" for environment variable LIMIT_CONCURRENCY: expected a whole number from 0 to 1000000.',
        ),
        (
            Layers(flags={"fd": "-1"}),
            'Invalid value "-1" for flag --fd: expected the number of an open file from 0 to 1073741824.',
        ),
        *(
            (
                Layers(flags={"uds_permissions": text}),
                f'Invalid value "{text}" for flag --uds-permissions: expected '
                "permissions in octal from 0 to 777 such as 660.",
            )
            for text in ("rw-rw----", "888", "1777", "0o660")
        ),
        (
            Layers(environ={"HIGHPERF_RELOAD_DIR": "., ./missing"}),
            'Invalid value "., ./missing" for environment variable HIGHPERF_RELOAD_DIR: expected an existing '
            "directory, or several with commas between.",
        ),
        (
            Layers(flags={"reload_include": "*.html,"}),
            'Invalid value "*.html," for flag --reload-include: expected some text, or several with commas between.',
        ),
        (Layers(app={"rate_limit_rsp": 1}), "App(rate_limit_rsp=...) is not a setting. Did you mean rate_limit_rps?"),
        (Layers(app={"prot": 1}), "App(prot=...) is not a setting. Did you mean port?"),
        (
            Layers(app={"database_url": "sqlite:///x"}),
            "App(database_url=...) is not a setting: use --database-url or DATABASE_URL.",
        ),
        (
            Layers(flags={"app": "main:app", "database_url": "sqlite:///x"}),
            "--database-url belongs to the reference API: leave out either it or APP.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_source_and_what_was_expected(layers: Layers, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(layers)
    assert str(caught.value) == sentence


def test_the_database_variable_of_a_users_application_is_its_own_business() -> None:
    settings = resolve(Layers(flags={"app": "main:app"}, environ={"DATABASE_URL": "postgresql://h/d"}))
    assert "database_url" not in settings.sources
    assert "database_url" not in [name for name, _, _ in describe(settings)]


@pytest.mark.parametrize(
    ("environ", "octets"),
    [
        ({}, 64 * 1024),
        ({"LIMIT_REQUEST_LINE": "1k"}, 64 * 1024),
        ({"LIMIT_REQUEST_FIELD_SIZE": "128k"}, 136 * 1024),
    ],
)
def test_a_head_may_hold_one_full_line_and_one_full_field(environ: dict[str, str], octets: int) -> None:
    assert resolve(Layers(environ=environ)).limit_request_head == octets


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ({}, 0),
        ({"rate_limit_capacity": 5}, 0),
        ({"rate_limit_rps": 1000}, 1000),
        ({"rate_limit_rps": 1000, "rate_limit_capacity": 0}, 1000),
        ({"rate_limit_rps": 1000, "rate_limit_capacity": 5}, 5),
        ({"rate_limit_rps": 5.5}, 5),
        ({"rate_limit_rps": 0.5}, 1),
    ],
)
def test_without_a_capacity_as_many_may_come_at_once_as_come_in_a_second(given: dict[str, object], tokens: int) -> None:
    assert resolve(Layers(app=given)).rate_limit_burst == tokens


@pytest.mark.parametrize(
    ("layers", "in_force"),
    [
        (Layers(flags={"uds": "a"}, environ={"PORT": "1", "HOST": "h"}), {"uds": "a"}),
        (Layers(flags={"port": "1"}, environ={"HIGHPERF_UDS": "a"}), {"port": 1}),
        (Layers(flags={"fd": "3"}, environ={"HIGHPERF_UDS": "a"}, app={"port": 1}), {"fd": 3}),
        (Layers(environ={"HIGHPERF_FD": "3", "PORT": "1"}), {"fd": 3}),
        (Layers(environ={"PORT": "1"}, env_file=EnvFile("e", {"HIGHPERF_UDS": "a"}), app={"fd": 3}), {"port": 1}),
        (Layers(flags={"port": "1"}, environ={"HOST": "h"}), {"host": "h", "port": 1}),
    ],
)
def test_the_address_of_a_stronger_layer_replaces_one_of_another_kind(
    layers: Layers, in_force: dict[str, object]
) -> None:
    settings = resolve(layers)
    expected = {"host": "127.0.0.1", "port": 8080, "uds": "", "fd": None} | in_force
    assert {name: getattr(settings, name) for name in expected} == expected
    assert expected.keys() & settings.sources.keys() == in_force.keys()


@pytest.mark.parametrize(
    ("layers", "first", "second"),
    [
        (Layers(flags={"uds": "a", "port": "1"}), "flag --uds", "flag --port"),
        (Layers(flags={"host": "h", "fd": "3"}), "flag --fd", "flag --host"),
        (Layers(flags={"uds": "a", "fd": "3"}), "flag --fd", "flag --uds"),
        (Layers(run={"uds": "a", "port": 1}), "app.run(uds=...)", "app.run(port=...)"),
        (Layers(app={"uds": "a", "port": 1}), "App(uds=...)", "App(port=...)"),
        (Layers(environ={"HIGHPERF_UDS": "a", "HIGHPERF_FD": "3"}), "environment variable HIGHPERF_FD",
                                                                    "environment variable HIGHPERF_UDS"),
        (Layers(env_file=EnvFile("e", {"HIGHPERF_UDS": "a", "PORT": "1"})), "HIGHPERF_UDS in e", "PORT in e"),
    ],
)  # fmt: skip
def test_two_addresses_in_one_layer_are_one_too_many(layers: Layers, first: str, second: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(layers)
    assert str(caught.value) == f"There are two addresses, from {first} and from {second}: leave one out."


@pytest.mark.parametrize(
    ("layers", "is_flag"),
    [
        (Layers(), False),
        (Layers(flags={"port": "1"}), True),
        (Layers(run={"uds": "a"}), True),
        (Layers(environ={"HOST": "h"}, app={"port": 1}), False),
    ],
)
def test_an_address_by_flag_is_told_from_the_weaker_ones(layers: Layers, is_flag: bool) -> None:
    assert resolve(layers).address_is_flag is is_flag


def test_settings_cannot_be_changed() -> None:
    settings: Any = Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1


def test_every_setting_in_force_is_described_with_its_source() -> None:
    rows = describe(resolve(Layers(flags={"server_header": "false"}, environ={"READ_TIMEOUT": "1m30s"})))
    assert [name for name, _, _ in rows] == [
        *(option.name for option in OPTIONS),
        "limit_request_head",
        "rate_limit_burst",
    ]
    assert ("read_timeout", "1m30s", "environment variable READ_TIMEOUT") in rows
    assert ("server_header", "false", "flag --no-server-header") in rows
    assert ("limit_request_body", "16m", "default") in rows
    assert ("limit_request_head", "64k", "derived") in rows
    assert ("forwarded_allow_ips", "127.0.0.1,::1", "default") in rows


def test_variables_that_are_no_settings_are_pointed_out() -> None:
    names = [
        "HIGHPERF_PORT",
        "HIGHPERF_BAKLOG",
        "HIGHPERF_PROT",
        "HIGHPERF_ZZZ",
        "HIGHPERF_BACKLOG",
        "HIGHPERF_BUILD",
        "OTHER",
    ]
    assert unknown_variables(dict.fromkeys(names, "1")) == [
        "HIGHPERF_BAKLOG is not a setting. Did you mean HIGHPERF_BACKLOG?",
        "HIGHPERF_PORT is not a setting. Did you mean PORT?",
        "HIGHPERF_PROT is not a setting. Did you mean PORT?",
        "HIGHPERF_ZZZ is not a setting.",
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b c ", "b c"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=b # why", "b"),
        ("A=b#c", "b#c"),
        ("A='b # c' # why", "b # c"),
        ("A='$B \\n'", "$B \\n"),
        (r'A="b\n\"c\"\\ \$"', 'b\n"c"\\ $'),
        ("A=${B}", "${B}"),
        ("A=b=c", "b=c"),
        ("A=it's", "it's"),
        ("\ufeffA=b", "b"),
        ("A=caf\xe9\r", "caf\xe9"),
    ],
)
def test_a_line_of_an_env_file_is_a_name_and_a_value(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(f"{line}\n\n  # a comment\n".encode())
    assert read_env_file(str(path)) == EnvFile(str(path), {"A": value})


@pytest.mark.parametrize("line", ["A", "=b", "1A=b", "A='b", 'A="b', "A='b' c", "A-B=c", "A: b"])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "env"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(ConfigError, match=r"^Invalid line 2 in --env-file .*: expected NAME=VALUE"):
        read_env_file(str(path))


def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^Cannot read --env-file .*missing.*: No such file or directory\.$"):
        read_env_file(str(tmp_path / "missing"))
    (tmp_path / "latin").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match=r"it is not UTF-8 text\.$"):
        read_env_file(str(tmp_path / "latin"))


def test_settings_reach_another_process_as_texts() -> None:
    given = {"workers": "auto", "uds": "a.sock", "forwarded_allow_ips": "10.0.0.0/8,::1", "rate_limit_rps": "0.5"}
    given |= {"access_log_format": "json", "access_log_exclude": "off", "access_log_sample": "0.25"}
    given |= {"reload_dir": ".,..", "request_timeout_header": "off", "write_timeout": "0", "server_header": "false"}
    for flags in ({}, {"fd": "3"}, given):
        settings = resolve(Layers(flags=flags))
        assert from_texts({**as_texts(settings), "of_a_newer_version": "1"}) == settings
