"""The request head: what is read from it, what is refused, and when."""

import string
from collections.abc import Callable

import pytest

from highperf.wire.request_parser import RequestParser
from tests import cuts
from tests.streams import Outcome, get, head_of, outcome, with_field

EVERY_OCTET = [bytes([octet]) for octet in range(256)]
TOKEN = set(b"!#$%&'*+-.^_`|~" + string.digits.encode() + string.ascii_letters.encode())  # RFC 9110 section 5.6.2


@pytest.fixture(params=cuts.CUTS)
def cut(request: pytest.FixtureRequest) -> Callable[[bytes], list[bytes]]:
    return cuts.CUTS[request.param]


def is_accepted(stream: bytes) -> bool:
    return outcome([stream], eof=False).error is None


# --- The request line --------------------------------------------------------------------------


def test_methods_are_case_sensitive_tokens_of_at_most_32_octets() -> None:
    assert head_of(get(method=b"get")).method == "get"
    assert head_of(get(method=b"!#$%&'*+-.^_`|~")).method == "!#$%&'*+-.^_`|~"
    assert head_of(get(method=b"M" * 32)).method == "M" * 32


@pytest.mark.parametrize("before", [b"", b"G", b"GE", b"GET", b"POS"])
def test_every_octet_in_a_method(before: bytes) -> None:
    for octet in EVERY_OCTET:
        found = outcome([get(method=before + octet + b"T")], eof=False)
        if octet[0] in TOKEN:
            assert found.error is None
        elif before == b"" and octet == b"\r":
            assert found.error == (400, "carriage return without line feed")
        else:
            assert found.error is not None
            assert found.error[0] == 400


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a/b", b"/a/b", b""),
        (b"/a?b=c", b"/a", b"b=c"),
        (b"/?", b"/", b""),
        (b"/a?b?c/d%", b"/a", b"b?c/d%"),
        (b"//a//", b"//a//", b""),
        (b"/%41%2f%ff", b"/%41%2f%ff", b""),
        (b"/longer-than-a-block/%20/x?and=a&longer=query", b"/longer-than-a-block/%20/x", b"and=a&longer=query"),
        (b"/'\"<>[]{}|\\^`", b"/'\"<>[]{}|\\^`", b""),
        (b"http://h", b"/", b""),
        (b"http://h/", b"/", b""),
        (b"http://h?q", b"/", b"q"),
        (b"hTTps://h:1/p?q", b"/p", b"q"),
    ],
)  # fmt: skip
def test_parts_of_the_target(target: bytes, path: bytes, query: bytes) -> None:
    head = head_of(get(target))
    assert (head.target, head.raw_path, head.query) == (target, path, query)


def test_path_is_decoded_once_and_an_encoded_slash_is_still_a_slash() -> None:
    assert head_of(get(b"/%2541/b%2Fc/%C3%A9%FF/+")).path == "/%41/b/c/\xe9\ufffd/+"


@pytest.mark.parametrize("place", range(1, 36))
def test_every_octet_in_a_path_and_a_query(place: int) -> None:
    """At every place of a block of 8 or 16 octets."""
    visible = set(range(0x21, 0x7F)) - set(b"#")
    for mark, special in ((b"/", b"%?"), (b"/?", b"")):
        for octet in EVERY_OCTET:
            target = mark + b"a" * place + octet + b"b" * 20
            if octet[0] in visible - set(special):
                assert head_of(get(target)).target == target
            elif octet not in (b"%", b"?", b" "):
                found = outcome([get(target)], eof=False).error
                assert found is not None
                assert found[0] == 400


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (b"http://example.com/", b"example.com"),
        (b"http://example.com:8080?x", b"example.com:8080"),
        (b"https://[::1]:443", b"[::1]:443"),
        (b"/", b"h"),
    ],
)
def test_authority_of_the_target_replaces_host(target: bytes, authority: bytes) -> None:
    assert head_of(get(target)).authority == authority


def test_http10_needs_no_host() -> None:
    head = head_of(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.version, head.authority, head.headers) == ("1.0", b"", [])


def test_connect_takes_host_and_port_and_ends_the_connection() -> None:
    head = head_of(get(b"example.com:443", method=b"CONNECT"))
    assert (head.method, head.authority, head.raw_path, head.keep_alive) == ("CONNECT", b"example.com:443", b"", False)
    found = outcome([get(b"h:1", method=b"CONNECT") + b"\x16\x03\x01 anything"])
    assert (found.complete, found.error, found.closed) == (1, None, True)


def test_asterisk_means_the_server_for_options_alone() -> None:
    head = head_of(get(b"*", method=b"OPTIONS"))
    assert (head.target, head.raw_path) == (b"*", b"")
    assert head_of(get(b"http://h", method=b"OPTIONS")).raw_path == b""
    assert head_of(get(b"http://h/", method=b"OPTIONS")).raw_path == b"/"
    assert head_of(get(b"http://h?q", method=b"OPTIONS")).raw_path == b"/"


def test_a_few_empty_lines_before_a_request_are_forgiven() -> None:
    for count in range(9):
        found = outcome([b"\r\n" * count + get() + b"\r\n" * count + get()])
        assert (found.complete, found.error) == (2, None)


# --- What is refused, whole and cut --------------------------------------------------------------

LINE_FORM = (400, "request line is not method, target and version with one space between")
METHOD = (400, "request does not begin with a method")
VERSION = (400, "request line does not end in an http version")
UNSUPPORTED = (505, "http version is neither 1.1 nor 1.0")
FORM = (400, "request target is neither a path nor an http or https url")
OCTET = (400, "request target has an octet that is not visible ascii")
FRAGMENT = (400, "request target has a fragment")
PERCENT = (400, "percent sign in the path without two hex digits")
NUL = (400, "encoded nul in the path")
AUTHORITY = (400, "authority in the request target is not host or host:port")
ASTERISK = (400, "request target * is for options only")
CONNECT = (400, "request target of connect is not host:port")
BARE_CR = (400, "carriage return without line feed")
BARE_LF = (400, "line feed without carriage return")
NAME = (400, "field name is empty or has an octet that is not allowed")
COLON = (400, "field line without colon")
VALUE = (400, "control character in a field value")
FOLDED = (400, "folded field line")
INDENTED = (400, "white space before the first field")
HOST_MISSING = (400, "host field is missing")
HOST_REPEATED = (400, "host field is repeated")
HOST_SYNTAX = (400, "host field is not host or host:port")
LENGTH = (400, "content-length is not a number")
LENGTH_RANGE = (400, "content-length is too large a number")
LENGTH_REPEATED = (400, "content-length is repeated")
CODING = (400, "transfer-encoding is malformed or does not end in chunked")
CODING_UNKNOWN = (501, "transfer-encoding names a coding that is not understood")
CODING_REPEATED = (400, "transfer-encoding is repeated")
CODING_VERSION = (400, "transfer-encoding in an http/1.0 request")
BOTH = (400, "both content-length and transfer-encoding")
EXPECTATION = (417, "expectation is not 100-continue")
CONTENT = (400, "connect request with content")

REFUSED: list[tuple[bytes, tuple[int, str]]] = [
    # the request line
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", METHOD),
    (b" GET / HTTP/1.1\r\n", METHOD),
    (b"\tGET / HTTP/1.1\r\n", METHOD),
    (b"(GET) / HTTP/1.1\r\n", METHOD),
    (b"GE(T / HTTP/1.1\r\n", METHOD),
    (b"GET\t/ HTTP/1.1\r\n", METHOD),
    (b"G\x00T / HTTP/1.1\r\n", METHOD),
    (b"\x00", METHOD),
    (b"\nGET / HTTP/1.1\r\n", BARE_LF),
    (b"\r\n\nGET / HTTP/1.1\r\n", BARE_LF),
    (b"\rGET / HTTP/1.1\r\n", BARE_CR),
    (b"\r\r\nGET / HTTP/1.1\r\n", BARE_CR),
    (b"\r\n" * 9 + b"GET / HTTP/1.1\r\n", (400, "too many empty lines before the request line")),
    (get(method=b"M" * 33), (501, "method is longer than 32 octets")),
    (b"GET\r\n", LINE_FORM),
    (b"GET\n", LINE_FORM),
    (b"GET /\r\n", LINE_FORM),
    (b"GET /\n", LINE_FORM),
    (b"GET / \r\n", VERSION),
    (b"GET  / HTTP/1.1\r\n", LINE_FORM),
    (b"GET /  HTTP/1.1\r\n", LINE_FORM),
    (b"GET / HTTP/1.1 \r\n", LINE_FORM),
    (b"GET / a HTTP/1.1\r\n", LINE_FORM),
    (b"GET / HTTP/1.1\n", BARE_LF),
    (b"GET / HTTP/1.1\rX\r\n", BARE_CR),
    (b"GET / HTTP/1.1\r\r\n", BARE_CR),
    (b"GET / HTTP/1.1\rLine: 1\r\n", LINE_FORM),
    (b"GET / HTTP/1.1\t\r\n", VERSION),
    (b"GET / http/1.1\r\n", VERSION),
    (b"GET / HTTP/1.\r\n", VERSION),
    (b"GET / HTTP/11\r\n", VERSION),
    (b"GET / HTTP/1.10\r\n", VERSION),
    (b"GET / HTTP/01.1\r\n", VERSION),
    (b"GET / HTTP/1,1\r\n", VERSION),
    (b"GET / HTTP/x.1\r\n", VERSION),
    (b"GET / HTTP/1.x\r\n", VERSION),
    (b"GET / HTTPS/1.1\r\n", VERSION),
    (b"GET / ICE/1.0\r\n", VERSION),
    (b"GET / HTTP/0.9\r\n", UNSUPPORTED),
    (b"GET / HTTP/1.2\r\n", UNSUPPORTED),
    (b"GET / HTTP/2.0\r\n", UNSUPPORTED),
    (b"GET / HTTP/9.9\r\n", UNSUPPORTED),
    # the target
    (get(b"foo"), FORM),
    (get(b"@example.com"), FORM),
    (get(b"example.com:80"), FORM),
    (get(b"ftp://h/"), FORM),
    (get(b"http:/h"), FORM),
    (get(b"http:h"), FORM),
    (get(b"https:/h/x"), FORM),
    (get(b"?q"), FORM),
    (get(b"*"), ASTERISK),
    (get(b"*", method=b"options"), ASTERISK),
    (get(b"**", method=b"OPTIONS"), FORM),
    (get(b"*/", method=b"OPTIONS"), FORM),
    (get(b"/a#b"), FRAGMENT),
    (get(b"/a?b#c"), FRAGMENT),
    (get(b"#"), FRAGMENT),
    (get(b"http://h#f"), FRAGMENT),
    (get(b"/\xc3\xa9"), OCTET),
    (get(b"/a?\xff"), OCTET),
    (get(b"/a\x7f"), OCTET),
    (get(b"/a\tb"), OCTET),
    (get(b"\x80"), OCTET),
    (get(b"/a\x00"), OCTET),
    (get(b"/%"), PERCENT),
    (get(b"/%4"), PERCENT),
    (get(b"/%4g"), PERCENT),
    (get(b"/%g4"), PERCENT),
    (get(b"/%%34"), PERCENT),
    (get(b"/a%2?x"), PERCENT),
    (b"GET /%\r\n", PERCENT),
    (b"GET /%4\n", PERCENT),
    (get(b"/%u0041"), PERCENT),
    (get(b"http://h/%zz"), PERCENT),
    (get(b"/%00"), NUL),
    (get(b"/a%20%00b"), NUL),
    (get(b"http://"), AUTHORITY),
    (get(b"http:///p"), AUTHORITY),
    (get(b"http://?q"), AUTHORITY),
    (get(b"http://u@h/"), AUTHORITY),
    (get(b"http://u:p@h/"), AUTHORITY),
    (get(b"http://a,b/"), AUTHORITY),
    (get(b"http://h:x/"), AUTHORITY),
    (get(b"http://[::1/"), AUTHORITY),
    (get(b"/", method=b"CONNECT"), CONNECT),
    (get(b"h", method=b"CONNECT"), CONNECT),
    (get(b"h:", method=b"CONNECT"), CONNECT),
    (get(b":1", method=b"CONNECT"), CONNECT),
    (get(b"*", method=b"CONNECT"), CONNECT),
    (get(b"http://h:1", method=b"CONNECT"), CONNECT),
    (get(b"u@h:1", method=b"CONNECT"), CONNECT),
    (get(b"h:1/", method=b"CONNECT"), CONNECT),
    # field lines
    (with_field(b" folded"), FOLDED),
    (with_field(b"\tfolded"), FOLDED),
    (with_field(b"A: b\r\n c"), FOLDED),
    (get(b"/", b" Host: h"), INDENTED),
    (b"GET / HTTP/1.1\r\n ", INDENTED),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\t", FOLDED),
    (with_field(b"A : b"), NAME),
    (with_field(b"A\t: b"), NAME),
    (with_field(b": b"), NAME),
    (with_field(b"A(b: c"), NAME),
    (with_field(b"\xc3\xa9: b"), NAME),
    (with_field(b"A\x00B: c"), NAME),
    (with_field(b"A long name with spaces: c"), NAME),
    (with_field(b"A"), COLON),
    (with_field(b"A-name-of-more-than-16-octets"), COLON),
    (with_field(b"A\rB: c"), BARE_CR),
    (with_field(b"A\nB: c"), BARE_LF),
    (with_field(b"A: b\nC: d"), BARE_LF),
    (with_field(b"A: b\rC: d"), BARE_CR),
    (with_field(b"A: b\r"), BARE_CR),
    (with_field(b"A: b\x00"), VALUE),
    (with_field(b"A: \x7f"), VALUE),
    (with_field(b"A:\x0b"), VALUE),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\rX", BARE_CR),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\n", BARE_LF),
    # Host
    (b"GET / HTTP/1.1\r\n\r\n", HOST_MISSING),
    (get(b"http://h/", b"A: b"), HOST_MISSING),
    (get(b"/", b"Host: h", b"Host: h"), HOST_REPEATED),
    (get(b"/", b"host: a", b"HOST: b", version=b"HTTP/1.0"), HOST_REPEATED),
    (get(b"http://h/", b"Host: a", b"Host: b"), HOST_REPEATED),
    (get(b"http://h/", b"Host: a b"), HOST_SYNTAX),
    (get(b"/", b"Host:"), HOST_SYNTAX),
    (get(b"/", b"Host: \t ", version=b"HTTP/1.0"), HOST_SYNTAX),
    # Content-Length
    (with_field(b"Content-Length:"), LENGTH),
    (with_field(b"Content-Length: +1"), LENGTH),
    (with_field(b"Content-Length: -1"), LENGTH),
    (with_field(b"Content-Length: 1_0"), LENGTH),
    (with_field(b"Content-Length: 0x10"), LENGTH),
    (with_field(b"Content-Length: 1.0"), LENGTH),
    (with_field(b"Content-Length: 1 0"), LENGTH),
    (with_field(b"Content-Length: 5, 5"), LENGTH),
    (with_field(b"Content-Length: 5;"), LENGTH),
    (with_field(b"Content-Length: \xb2"), LENGTH),
    (with_field(b"Content-Length: \xd9\xa3"), LENGTH),
    (with_field(b"Content-Length: 9223372036854775808"), LENGTH_RANGE),
    (with_field(b"Content-Length: 18446744073709551617"), LENGTH_RANGE),
    (with_field(b"Content-Length: " + b"9" * 400), LENGTH_RANGE),
    (with_field(b"Content-Length: 5\r\nContent-Length: 5"), LENGTH_REPEATED),
    (with_field(b"Content-Length: 5\r\ncontent-length: 6", version=b"HTTP/1.0"), LENGTH_REPEATED),
    # Transfer-Encoding
    (with_field(b"Transfer-Encoding:"), CODING),
    (with_field(b"Transfer-Encoding: ,chunked"), CODING),
    (with_field(b"Transfer-Encoding: chunked,"), CODING),
    (with_field(b"Transfer-Encoding: chunked, ,chunked"), CODING),
    (with_field(b"Transfer-Encoding: chunked, chunked"), CODING),
    (with_field(b"Transfer-Encoding: chunked, gzip"), CODING),
    (with_field(b"Transfer-Encoding: chunked;q=1"), CODING),
    (with_field(b"Transfer-Encoding: gzip;q=1, chunked"), CODING),
    (with_field(b"Transfer-Encoding: chunked gzip"), CODING),
    (with_field(b'Transfer-Encoding: "chunked"'), CODING),
    (with_field(b"Transfer-Encoding: \xffchunked"), CODING),
    (with_field(b"Transfer-Encoding: gzip, chunked"), CODING_UNKNOWN),
    (with_field(b"Transfer-Encoding: gzip"), CODING_UNKNOWN),
    (with_field(b"Transfer-Encoding: identity"), CODING_UNKNOWN),
    (with_field(b"Transfer-Encoding: xchunked"), CODING_UNKNOWN),
    (with_field(b"Transfer-Encoding: chunkedx"), CODING_UNKNOWN),
    (with_field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), CODING_REPEATED),
    (with_field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), CODING_REPEATED),
    (with_field(b"Transfer-Encoding: chunked", version=b"HTTP/1.0"), CODING_VERSION),
    (with_field(b"Transfer-Encoding: chunked\r\nContent-Length: 5"), BOTH),
    (with_field(b"Content-Length: 5\r\nTransfer-Encoding: chunked"), BOTH),
    (with_field(b"Content-Length: 0\r\ntransfer-encoding: chunked"), BOTH),
    # the rest
    (with_field(b"Expect: 200-ok"), EXPECTATION),
    (with_field(b"Expect:"), EXPECTATION),
    (with_field(b"Expect: 100-continue, 100-continue"), EXPECTATION),
    (with_field(b"Expect: x", version=b"HTTP/1.0"), EXPECTATION),
    (get(b"h:1", b"Host: h", b"Content-Length: 1", method=b"CONNECT"), CONTENT),
    (get(b"h:1", b"Host: h", b"Transfer-Encoding: chunked", method=b"CONNECT"), CONTENT),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "error"), REFUSED)
def test_refused(stream: bytes, error: tuple[int, str], cut: Callable[[bytes], list[bytes]]) -> None:
    assert outcome(cut(stream), eof=False) == Outcome([], error)


@pytest.mark.parametrize(("stream", "error"), REFUSED)
def test_refused_behind_a_good_request(stream: bytes, error: tuple[int, str]) -> None:
    """What was complete before the mistake is handed out first, at every cut."""
    for pieces in ([get() + stream], *cuts.once(get() + stream)):
        found = outcome(pieces, eof=False)
        assert (found.complete, len(found.requests), found.error) == (1, 1, error)


@pytest.mark.parametrize(("stream", "error"), REFUSED)
def test_the_verdict_on_a_beginning_does_not_depend_on_how_it_came(stream: bytes, error: tuple[int, str]) -> None:
    for end in range(len(stream)):
        beginning = stream[:end]
        found = outcome([beginning], eof=False).error
        assert found in (None, error)
        assert outcome(cuts.bytewise(beginning), eof=False).error == found


# --- Field lines -----------------------------------------------------------------------------


def test_fields_are_given_as_sent_without_surrounding_white_space() -> None:
    lines = [b"Host:h", b"A:", b"B: ", b"C:\t \tc c\t \t", b"d:d", b"E: \xe9\xff", b"A: again", b"F:::"]
    assert head_of(get(b"/", *lines)).headers == [
        (b"Host", b"h"), (b"A", b""), (b"B", b""), (b"C", b"c c"), (b"d", b"d"), (b"E", b"\xe9\xff"),
        (b"A", b"again"), (b"F", b"::"),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(36))
def test_every_octet_in_a_field_name_and_value(place: int) -> None:
    """At every place of a block of 8 or 16 octets."""
    for octet in EVERY_OCTET:
        name = b"n" * place + octet + b"-" * 20
        assert is_accepted(with_field(name + b": v")) == (octet[0] in TOKEN or (octet == b":" and place > 0))
        value = b"v" * place + octet + b"w" * 20
        plain = octet == b"\t" or (octet[0] >= 0x20 and octet != b"\x7f")
        assert is_accepted(with_field(b"A: " + value)) == plain
        if plain:
            assert head_of(with_field(b"A: " + value)).headers[1] == (b"A", value.strip(b" \t"))


def test_tabs_and_their_neighbours_in_values() -> None:
    """An octet behind a tab is judged for itself."""
    for octet in EVERY_OCTET:
        value = b"a\t" + octet + b"\t\tb" * 6
        assert is_accepted(with_field(b"A: " + value)) == (octet == b"\t" or (octet[0] >= 0x20 and octet != b"\x7f"))


def test_the_table_of_fields_grows() -> None:
    lines = [b"Host: h", *(b"N%d: v%d" % (index, index) for index in range(999))]
    head = head_of(get(b"/", *lines), limit_fields=1000)
    assert head.headers == [tuple(line.split(b": ")) for line in lines]


@pytest.mark.parametrize(
    "host",
    [
        b"h", b"example.com", b"example.com:80", b"h:", b"h:0", b"h:65535", b"192.0.2.1:1", b"a_b", b"0.0.0.0=5000",
        b"%41%7a", b"-._~!$&'()*+;=", b"[::]", b"[::1]", b"[1::]:80", b"[1:2:3:4:5:6:7:8]", b"[1:2:3:4:5:6:7::]",
        b"[::2:3:4:5:6:7:8]", b"[2001:db8::ff00:42:8329]", b"[::ffff:192.0.2.1]", b"[1:2:3:4:5:6:192.0.2.1]",
        b"[ABCD:ef01::0]:",
    ],
)  # fmt: skip
def test_hosts_that_are_some(host: bytes) -> None:
    assert head_of(get(b"/", b"Host: " + host)).authority == host
    assert head_of(get(b"http://" + host + b"/")).authority == host


@pytest.mark.parametrize(
    "host",
    [
        b":80", b"h:x", b"h:+1", b"h:1:2", b"h:65536", b"h:99999999999999999999", b"u@h", b"h/", b"h?q", b"a,b", b"a b",
        b"%", b"%4", b"%4g", b"\xe9", b"a\\b", b"a\"b", b"<h>", b"[", b"[]", b"[::1", b"::1", b"[::1]x", b"[:]",
        b"[1::2::3]", b"[1:2:3:4:5:6:7]", b"[1:2:3:4:5:6:7:8:9]", b"[::1:2:3:4:5:6:7:8]", b"[12345::]", b"[g::]",
        b"[1:2:3:4:5:6:7:]", b"[:1:2:3:4:5:6:7:8]", b"[::1.2.3]", b"[::1.2.3.4.5]", b"[::256.1.1.1]", b"[::01.2.3.4]",
        b"[::1.2.3.4:1]", b"[1.2.3.4]", b"[::1.2.3.x]", b"[::1.2..4]", b"[fe80::1%25eth0]", b"[v1.x]", b"[::1]:x",
        b"[:1]", b"[:::]",
    ],
)  # fmt: skip
def test_hosts_that_are_none(host: bytes) -> None:
    assert outcome([get(b"/", b"Host: " + host)]).error == HOST_SYNTAX
    assert outcome([get(host + b":1", method=b"CONNECT")]).error is not None


def test_every_octet_in_a_host() -> None:
    unreserved = string.ascii_letters.encode() + string.digits.encode() + b"-._~"
    for octet in EVERY_OCTET:
        found = outcome([get(b"/", b"Host: a" + octet + b"b")], eof=False).error
        assert (found is None) == (octet[0] in unreserved + b"!$&'()*+;=")


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"0", 0), (b"00", 0), (b"007", 7), (b"0" * 500 + b"9", 9), (b"9223372036854775807", 2**63 - 1)],
)
def test_content_length_is_decimal(value: bytes, length: int) -> None:
    head = head_of(with_field(b"content-LENGTH:\t" + value + b" "))
    assert (head.content_length, head.chunked) == (length, False)


@pytest.mark.parametrize("value", [b"chunked", b"CHUNKED", b" \tChunked\t "])
def test_chunked_in_any_case(value: bytes) -> None:
    head = head_of(with_field(b"Transfer-encoding:" + value))
    assert (head.content_length, head.chunked) == (None, True)


@pytest.mark.parametrize(
    ("version", "lines", "keep_alive"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"close"], False),
        (b"1.1", [b"Close"], False),
        (b"1.1", [b"CLOSE\t"], False),
        (b"1.1", [b"keep-alive"], True),
        (b"1.1", [b"keep-alive, close"], False),
        (b"1.1", [b"close, keep-alive"], False),
        (b"1.1", [b"keep-alive", b"x,close ,y"], False),
        (b"1.1", [b"close", b"keep-alive"], False),
        (b"1.1", [b",, ,close"], False),
        (b"1.1", [b"x y, close"], False),
        (b"1.1", [b"close x"], True),
        (b"1.1", [b"closed"], True),
        (b"1.1", [b"xclose"], True),
        (b"1.1", [b'"close"'], True),
        (b"1.1", [b""], True),
        (b"1.0", [], False),
        (b"1.0", [b"keep-alive"], True),
        (b"1.0", [b"Keep-Alive"], True),
        (b"1.0", [b"foo,KEEP-ALIVE"], True),
        (b"1.0", [b"keep-alive", b"close"], False),
        (b"1.0", [b"keep-alives"], False),
    ],
)
def test_persistence(version: bytes, lines: list[bytes], keep_alive: bool) -> None:
    stream = get(b"/", b"Host: h", *(b"Connection: " + line for line in lines), version=b"HTTP/" + version)
    assert head_of(stream).keep_alive == keep_alive
    found = outcome([stream + get()])
    assert (found.complete, found.closed or not keep_alive) == (1 + keep_alive, not keep_alive)


def test_expect_counts_in_http11_only() -> None:
    assert head_of(with_field(b"Expect: 100-Continue")).expects_continue
    assert not head_of(with_field(b"Expect: 100-continue", version=b"HTTP/1.0")).expects_continue
    assert not head_of(get()).expects_continue


def test_upgrade_needs_its_connection_option_and_http11() -> None:
    both = b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade"
    assert head_of(with_field(both)).upgrade
    assert not head_of(with_field(both, version=b"HTTP/1.0")).upgrade
    assert not head_of(with_field(b"Upgrade: websocket")).upgrade
    assert not head_of(with_field(b"Connection: upgrade")).upgrade


def test_a_body_is_framed_as_usual_when_an_upgrade_is_asked_for() -> None:
    head = with_field(b"Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 3", method=b"POST")
    found = outcome([head + b"abc" + get()])
    assert [request.body for request in found.requests] == [b"abc", b""]


@pytest.mark.parametrize("name", [b"Hosts", b"Hos", b"Content-Lengths", b"Content_Length", b"Transfer_Encoding",
                                  b"Transfer-Encodings", b"Expect-", b"Connectio", b"X-Host", b"Hos\xf4"])  # fmt: skip
def test_names_that_only_look_alike_mean_nothing(name: bytes) -> None:
    stream = with_field(name + b": chunked, 99, close")
    if name == b"Hos\xf4":
        assert outcome([stream]).error == NAME
    else:
        head = head_of(stream)
        assert (head.content_length, head.chunked, head.keep_alive, head.authority) == (None, False, True, b"h")


# --- Limits ---------------------------------------------------------------------------------


def test_request_line_limit_counts_the_line_without_its_end(cut: Callable[[bytes], list[bytes]]) -> None:
    too_long = (414, "request line is longer than the limit")
    fits = get(b"/" + b"a" * 86)
    assert fits.index(b"\r\n") == 100
    assert outcome(cut(fits), limit_line=100).error is None
    assert outcome(cut(get(b"/" + b"a" * 87)), limit_line=100) == Outcome([], too_long)
    assert outcome(cut(b"G" * 101), limit_line=100, eof=False).error == too_long
    assert outcome(cut(b"G" * 100), limit_line=100, eof=False).error is None
    assert outcome(cut(b"G" * 100 + b"\r"), limit_line=100, eof=False).error is None
    assert outcome(cut(b"G" * 100 + b"\rX"), limit_line=100, eof=False).error == too_long


def test_a_line_that_is_wrong_and_too_long_is_too_long(cut: Callable[[bytes], list[bytes]]) -> None:
    assert outcome(cut(get(b"/\x01" + b"a" * 100)), limit_line=100).error[0] == 414
    assert outcome(cut(with_field(b"A\x01" + b"a" * 100)), limit_field_size=100).error[0] == 431


def test_field_limit_counts_the_line_without_its_end(cut: Callable[[bytes], list[bytes]]) -> None:
    too_long = (431, "field line is longer than the limit")
    assert outcome(cut(with_field(b"A: " + b"b" * 97)), limit_field_size=100).error is None
    assert outcome(cut(with_field(b"A: " + b"b" * 98)), limit_field_size=100).error == too_long
    assert outcome(cut(with_field(b"N" * 101)), limit_field_size=100).error == too_long
    assert outcome(cut(with_field(b"A:" + b" " * 99)), limit_field_size=100).error == too_long
    open_end = b"GET / HTTP/1.1\r\nA: " + b"b" * 98
    assert outcome(cut(open_end), limit_field_size=100, eof=False).error == too_long
    assert outcome(cut(open_end[:-1]), limit_field_size=100, eof=False).error is None


def test_number_of_fields(cut: Callable[[bytes], list[bytes]]) -> None:
    lines = [b"Host: h", *(b"A: b" for _ in range(4))]
    assert outcome(cut(get(b"/", *lines)), limit_fields=5).error is None
    error = (431, "more field lines than the limit")
    assert outcome(cut(get(b"/", *lines)), limit_fields=4).error == error
    assert outcome(cut(get(b"/", *lines).removesuffix(b"\r\n")), limit_fields=4, eof=False).error == error


def test_size_of_the_whole_head(cut: Callable[[bytes], list[bytes]]) -> None:
    error = (431, "request head is longer than the limit")
    stream = b"\r\n\r\n" + with_field(b"A: bcdefgh")
    for limit in range(1, len(stream)):
        assert outcome(cut(stream), limit_head=limit) == Outcome([], error)
    assert outcome(cut(stream), limit_head=len(stream)).error is None


def test_every_limit_at_every_cut() -> None:
    stream = b"\r\n" + get(b"/some/path", b"Host: h", b"A: b", b"C: dddddddddddddddd")
    for name in ("limit_line", "limit_field_size", "limit_fields", "limit_head"):
        for limit in range(1, 40):
            expected = outcome([stream], **{name: limit})
            for pieces in (cuts.bytewise(stream), *cuts.once(stream)):
                assert outcome(pieces, **{name: limit}) == expected, (name, limit, pieces)


@pytest.mark.parametrize("name", ["limit_line", "limit_field_size", "limit_fields", "limit_head"])
def test_limits_must_make_sense(name: str) -> None:
    for limit in (0, -1, 2**30 + 1):
        with pytest.raises(ValueError, match=f"{name} must be between 1 and 1073741824, not {limit}"):
            RequestParser(**{name: limit})
    RequestParser(**{name: 2**30})
