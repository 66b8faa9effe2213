"""The reference API: users, created and read.

Owns the routes, what makes a valid user, and which failure is which problem for the client. It is
an ordinary user of highperf.app, and must not know how users are kept or how a server runs.

Rules
- An id is a decimal number from 1 to 2**63 - 1, without sign and leading zeros: one user has one URI.
- A name has 1 to 100 characters after surrounding white space is removed, none of them a control.
- An e-mail address is an ASCII mailbox of RFC 5321 without quoted local parts and address literals;
  an internationalised domain goes in its A-labels. Whether mail arrives there is not asked.
"""

import functools
import logging
import os
import re
import time

import msgspec

from highperf import App, ConfigError, HTTPError, Request, Response
from highperf.errors import StartupError
from highperf.service.store import EmailTaken, StoreBusy, StoreError, User, UserStore

ID_MAX = 2**63 - 1
NAME_CHARACTERS_MAX = 100
EMAIL_CHARACTERS_MAX = 254  # RFC 5321 section 4.5.3.1.3: a path of 256 octets with its angle brackets
LOCAL_PART_CHARACTERS_MAX = 64  # RFC 5321 section 4.5.3.1.1

ID = re.compile(r"[1-9][0-9]{0,18}")
ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"(?P<local>{ATEXT}(?:\.{ATEXT})*)@{LABEL}(?:\.{LABEL})*", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

REPEAT_S = 1.0
NO_FILES = "There is no %s, so /files/ answers 404. FILES_ROOT names another directory."


logger = logging.getLogger("highperf.service")


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    email: str


def create_app(
    database_url: str = "sqlite:///./highperf.db", files_root: str = "./public", *, files_required: bool = False
) -> App:
    """The reference API over this database, which is opened when the app starts.

    Args:
        database_url: where the users are kept.
        files_root: the directory that /files/ serves.
        files_required: do not start without it; otherwise its absence is worth a line in the log.

    Raises:
        ConfigError: the URL names no database that can be used. A file that cannot be used ends
            the start with a StartupError.
    """
    try:
        store = UserStore(database_url)
    except ValueError as error:
        raise ConfigError(f"DATABASE_URL: {error}") from None
    failures = FailureLog()
    app = App(
        rate_limit_rps=1000,
        rate_limit_capacity=1000,
        cb_failure_threshold=20,
        cb_open_duration="2s",
        request_timeout="100ms",
    )

    app.on_startup(functools.partial(open_store, store))
    app.on_shutdown(store.close)

    @app.get("/users/:id", deadline="80ms")
    def get_user(request: Request) -> User:
        user_id = parse_id(request.params["id"])
        try:
            user = store.get(user_id)
        except StoreError as error:
            raise failures.unavailable(error, time.monotonic()) from None
        if user is None:
            raise HTTPError(404, f"there is no user {user_id}")
        return user

    @app.post("/users", deadline="100ms", limit_body="64k")
    async def create_user(request: Request) -> Response:
        name, email = checked(await request.json(NewUser))
        try:
            user = await store.create(name, email)
        except EmailTaken:
            raise HTTPError(409, f"another user has the e-mail address {email}") from None
        except StoreError as error:
            raise failures.unavailable(error, time.monotonic()) from None
        return Response.json(user, status=201, headers={"Location": f"/users/{user.id}"})

    if files_required or os.path.lexists(files_root):
        app.files("/files/*path", files_root, deadline="100ms")
    else:
        app.on_startup(lambda: logger.info(NO_FILES, files_root))
    return app


async def open_store(store: UserStore) -> None:
    """At the start; StartupError says why it cannot be."""
    try:
        await store.open()
    except StoreError as error:
        raise StartupError(str(error)) from None


def parse_id(text: str) -> int:
    """The user id that the path segment spells. HTTPError 422 if it spells none."""
    if ID.fullmatch(text) and (user_id := int(text)) <= ID_MAX:
        return user_id
    raise HTTPError(422, f"a user id is a decimal number from 1 to {ID_MAX}")


def checked(new: NewUser) -> tuple[str, str]:
    """Name and e-mail address as they are kept. HTTPError 422 names every field that is wrong."""
    name = new.name.strip()
    wrong = [("name", name_fault(name)), ("email", email_fault(new.email))]
    errors = [{"pointer": f"#/{field}", "detail": fault} for field, fault in wrong if fault]
    if errors:
        raise HTTPError(422, "the body does not have the expected form", errors=errors)
    return name, new.email


def name_fault(name: str) -> str:
    """What is wrong with a name, or nothing."""
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        return f"expected 1 to {NAME_CHARACTERS_MAX} characters, not counting white space around them"
    if CONTROL.search(name):
        return "expected no control characters"
    return ""


def email_fault(email: str) -> str:
    """What is wrong with an e-mail address, or nothing."""
    if len(email) > EMAIL_CHARACTERS_MAX:
        return f"expected at most {EMAIL_CHARACTERS_MAX} characters"
    found = EMAIL.fullmatch(email)
    if not found or len(found["local"]) > LOCAL_PART_CHARACTERS_MAX:
        return "expected an e-mail address such as ada@example.com"
    return ""


class FailureLog:
    """Tells the operator why the store fails, once a second: each request would say the same."""

    def __init__(self) -> None:
        self._silent_until_s = 0.0

    def unavailable(self, error: StoreError, now_s: float) -> HTTPError:
        """What to answer; the client learns nothing of the file."""
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + REPEAT_S
            logger.error("%s", error)
        busy = isinstance(error, StoreBusy)
        detail = "too many users are being created" if busy else "the users cannot be reached"
        return HTTPError(503, detail, headers={"Retry-After": "1"})
