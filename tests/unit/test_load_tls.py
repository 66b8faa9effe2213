"""What the benchmark of TLS counts and how it judges it."""

from bench.load import tls
from bench.load.results import Entry, Record, Results


def record(*values: float, figure: str = "cpu_us") -> Record:
    made = Record()
    for number, value in enumerate(values):
        made.add(number, {figure: value, "user_us": 1.0, "system_us": 2.0})
    return made


def results(plain: Record, secure: Record) -> Results:
    def server(requests: Record, octets: float) -> Entry:
        idle = record(octets, figure="bytes_per_connection")
        return Entry("", "", {**dict.fromkeys(tls.REQUESTS, requests), tls.IDLE: idle})

    handshakes = Entry("", "", dict.fromkeys(tls.HANDSHAKES, record(500.0)))
    entries = {tls.PLAIN: server(plain, 1700), tls.TLS: server(secure, 19_000)}
    return Results({}, {}, entries | {f"{tls.TLS} {key}": handshakes for key in tls.KEYS})


def test_requests_are_judged_by_their_ratio_in_the_same_round():
    rendered = tls.render(results(record(4.0, 8.0), record(8.0, 15.9))).splitlines()
    assert rendered[2].startswith("| GET /healthz | 6.00 |")
    assert rendered[2].endswith("| 1.99 | 1.99-2.00 | met |")
    assert "MISSED" in tls.render(results(record(4.0, 8.0), record(8.1, 16.2)))


def test_handshakes_and_memory_are_shown():
    rendered = tls.render(results(record(4.0), record(8.0)))
    assert "| ECDSA P-256, TLS 1.3 | 500 | 1 | 2 | 2,000 |" in rendered
    assert "| tls | 19,000 |" in rendered


def test_openssl_says_how_many_handshakes_it_made():
    said = "Collecting connection statistics\n\n1537 connections in 3 real seconds, 0 bytes read per connection \n"
    found = tls.MADE.search(said)
    assert found is not None
    assert found[1] == "1537"
