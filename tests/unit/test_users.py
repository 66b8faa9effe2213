"""The reference API as its clients see it, without a socket."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from highperf import ConfigError, HTTPError
from highperf.errors import StartupError
from highperf.service import create_app
from highperf.service.store import StoreBusy, StoreError
from highperf.service.users import FailureLog, NewUser, checked, email_fault, name_fault, parse_id
from highperf.testing import TestClient, TestResponse

ADA = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


@pytest.fixture
def client(database: Path) -> Iterator[TestClient]:
    with create_app(f"sqlite:///{database}").test_client() as client:
        yield client


def assert_problem(response: TestResponse, status: int, path: str) -> dict[str, object]:
    problem: dict[str, object] = response.json()
    assert response.status == problem["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == path
    return problem


def faults(response: TestResponse) -> dict[str, str]:
    problem = assert_problem(response, 422, "/users")
    errors = problem["errors"]
    assert isinstance(errors, list)
    return {error["pointer"]: error["detail"] for error in errors}


# -- POST /users ---------------------------------------------------------------------------------


def test_created_user_is_answered_with_its_location(client: TestClient) -> None:
    response = client.post("/users", json=ADA)
    assert response.status == 201
    assert response.headers["Location"] == "/users/1"
    assert response.headers["Content-Type"] == "application/json"
    assert response.text == '{"id":1,"name":"Ada","email":"ada@example.com"}'


def test_created_user_is_read_at_its_location(client: TestClient) -> None:
    created = client.post("/users", json=ADA)
    read = client.get(created.headers["Location"])
    assert read.status == 200
    assert read.content == created.content


def test_users_outlive_the_server(database: Path) -> None:
    app = create_app(f"sqlite:///{database}")
    with app.test_client() as client:
        client.post("/users", json=ADA)
    with app.test_client() as client:
        assert client.get("/users/1").json() == {"id": 1, **ADA}
    with create_app(f"sqlite:///{database}").test_client() as client:
        assert client.get("/users/1").json() == {"id": 1, **ADA}


def test_name_is_kept_without_the_white_space_around_it(client: TestClient) -> None:
    response = client.post("/users", json={"name": " \u2003Ada Lovelace\n", "email": "ada@example.com"})
    assert response.json()["name"] == "Ada Lovelace"


def test_name_may_have_any_script(client: TestClient) -> None:
    name = "\N{HIRAGANA LETTER A}\N{COMBINING ACUTE ACCENT} \N{FAMILY}"
    client.post("/users", json={"name": name, "email": "ada@example.com"})
    assert client.get("/users/1").json()["name"] == name


def test_json_media_types_of_any_name_are_taken(client: TestClient) -> None:
    content = b'{"name":"Ada","email":"%d@example.com"}'
    for n, media_type in enumerate(("application/json; charset=utf-8", "Application/JSON", "application/vnd.a+json")):
        response = client.post("/users", content=content % n, headers={"Content-Type": media_type})
        assert response.status == 201


def test_taken_email_is_a_conflict_whatever_its_case(client: TestClient) -> None:
    client.post("/users", json=ADA)
    response = client.post("/users", json={"name": "Eve", "email": "ADA@example.com"})
    problem = assert_problem(response, 409, "/users")
    assert "ADA@example.com" in str(problem["detail"])
    assert client.get("/users/2").status == 404


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"name":"Ada"', b"name=Ada", b"\xff\xfe", b'{"name":"\xff","email":"a@b.c"}']
)
def test_body_that_is_no_json_is_a_bad_request(client: TestClient, content: bytes) -> None:
    assert_problem(client.post("/users", content=content), 400, "/users")


def test_body_of_another_media_type_is_refused(client: TestClient) -> None:
    response = client.post("/users", content=b"name=Ada", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert_problem(response, 415, "/users")


def test_body_above_the_limit_is_refused(client: TestClient) -> None:
    for content in (b"x" * 65537, [b"x" * 65536, b"x"]):
        response = client.post("/users", content=content)
        assert response.status == response.json()["status"] == 413


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b'"Ada"', b"{}", b'{"name":"Ada"}', b'{"email":"ada@example.com"}']
)
def test_body_without_the_fields_of_a_user_is_refused(client: TestClient, content: bytes) -> None:
    assert list(faults(client.post("/users", content=content))) == ["#"]


def test_unknown_field_is_refused_and_named(client: TestClient) -> None:
    assert "admin" in faults(client.post("/users", json={**ADA, "admin": True}))["#"]


@pytest.mark.parametrize("value", [1, None, [], {}, True])
@pytest.mark.parametrize("field", ["name", "email"])
def test_field_of_another_type_is_pointed_to(client: TestClient, field: str, value: object) -> None:
    assert list(faults(client.post("/users", json={**ADA, field: value}))) == [f"#/{field}"]


def test_every_field_that_is_wrong_is_pointed_to(client: TestClient) -> None:
    errors = faults(client.post("/users", json={"name": " ", "email": "ada"}))
    assert list(errors) == ["#/name", "#/email"]
    assert "1 to 100 characters" in errors["#/name"]
    assert "ada@example.com" in errors["#/email"]


def test_refused_user_is_not_kept(client: TestClient) -> None:
    client.post("/users", json={"name": "Ada", "email": "ada"})
    assert client.post("/users", json=ADA).json()["id"] == 1


# -- GET /users/:id ------------------------------------------------------------------------------


def test_unknown_user_is_not_found(client: TestClient) -> None:
    assert_problem(client.get("/users/1"), 404, "/users/1")
    assert_problem(client.get(f"/users/{2**63 - 1}"), 404, f"/users/{2**63 - 1}")


@pytest.mark.parametrize("text", ["0", "01", "-1", "+1", "1.0", "1e3", "0x1", "ada", "1_0", str(2**63), "9" * 5000])
def test_malformed_id_is_refused(client: TestClient, text: str) -> None:
    assert_problem(client.get(f"/users/{text}"), 422, f"/users/{text}")


@pytest.mark.parametrize("text", ["1 ", " 1", "1\n", "\u0661", "\uff11", "1\0", ""])
def test_id_has_one_spelling(text: str) -> None:
    with pytest.raises(HTTPError) as caught:
        parse_id(text)
    assert caught.value.status == 422


def test_head_is_answered_as_get_without_a_body(client: TestClient) -> None:
    client.post("/users", json=ADA)
    get, head = client.get("/users/1"), client.head("/users/1")
    assert head.status == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_methods_are_told(client: TestClient) -> None:
    options = client.options("/users/1")
    assert options.status == 204
    assert options.headers["Allow"] == "GET, HEAD, OPTIONS"
    delete = client.delete("/users")
    assert_problem(delete, 405, "/users")
    assert "POST" in delete.headers["Allow"]


# -- what makes a valid user ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "x" * 100, "O'Brien", "\N{GRINNING FACE}" * 100])
def test_name_is_valid(name: str) -> None:
    assert not name_fault(name)


@pytest.mark.parametrize("name", ["", "x" * 101, "a\0b", "a\nb", "\x1b[31mred", "a\x7fb", "a\x85b"])
def test_name_is_not_valid(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com",
        "Ada.Lovelace+news@mail.example.co.uk",
        "o'brien!#$%&*/=?^_`{|}~-@example.com",
        "ada@localhost",
        "ada@xn--bcher-kva.example",
        "1@2.example",
        "a" * 64 + "@example.com",
        "aa@" + ".".join(["b" * 62] * 4),
        "a@" + "b" * 63 + ".example",
    ],
)
def test_email_is_valid(email: str) -> None:
    assert not email_fault(email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "ada@eve@example.com",
        "ada.@example.com",
        ".ada@example.com",
        "a..b@example.com",
        "ada@example..com",
        "ada@.example.com",
        "ada@example.com.",
        "ada@-example.com",
        "ada@example-.com",
        "ada@exam_ple.com",
        "ada@[127.0.0.1]",
        '"ada"@example.com',
        "Ada <ada@example.com>",
        "ada @example.com",
        " ada@example.com",
        "ada@example.com\n",
        "ada@example.com\0",
        "\xe4da@example.com",
        "ada@b\xfccher.example",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".example",
        "aaa@" + ".".join(["b" * 62] * 4),
    ],
)
def test_email_is_not_valid(email: str) -> None:
    assert email_fault(email)


def test_length_of_a_name_is_that_without_white_space_around_it() -> None:
    assert checked(NewUser(" " * 500 + "x" * 100, "ada@example.com")) == ("x" * 100, "ada@example.com")


# -- when the database fails ---------------------------------------------------------------------


def test_database_that_fails_is_a_503_and_the_server_lives(
    client: TestClient, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/users", json=ADA)
    breaker = sqlite3.connect(database)
    breaker.execute("ALTER TABLE users RENAME TO lost")
    breaker.commit()
    with caplog.at_level(logging.ERROR, "highperf.service"):
        read = client.get("/users/1")
        created = client.post("/users", json={"name": "Eve", "email": "eve@example.com"})
    for response, path in ((read, "/users/1"), (created, "/users")):
        problem = assert_problem(response, 503, path)
        assert str(database) not in str(problem)
        assert response.headers["Retry-After"] == "1"
    assert [record.getMessage() for record in caplog.records] == [
        f"database {database} fails: no such table: users; name another file in DATABASE_URL"
    ]
    assert client.get("/healthz").status == 200
    breaker.execute("ALTER TABLE lost RENAME TO users")
    breaker.commit()
    breaker.close()
    assert client.get("/users/1").status == 200


def test_failure_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    with caplog.at_level(logging.ERROR, "highperf.service"):
        for now_s in (5.0, 5.1, 5.9, 6.0, 6.5, 8.0):
            failures.unavailable(StoreError(f"at {now_s}"), now_s)
    assert [record.getMessage() for record in caplog.records] == ["at 5.0", "at 6.0", "at 8.0"]


def test_too_many_creates_are_told_from_a_broken_database() -> None:
    failures = FailureLog()
    assert "too many" in failures.unavailable(StoreBusy(""), 0.0).detail
    assert "too many" not in failures.unavailable(StoreError(""), 0.0).detail


def test_database_that_cannot_be_opened_stops_the_start_in_one_line(tmp_path: Path) -> None:
    app = create_app(f"sqlite:///{tmp_path}/none/users.db")
    with pytest.raises(StartupError, match="does not exist; create it"):
        asyncio.run(app.startup())


def test_url_that_names_no_file_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL: postgresql is not supported yet"):
        create_app("postgresql://ada:secret@host/users")
