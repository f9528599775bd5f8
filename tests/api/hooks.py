"""What schemathesis cannot know from the OpenAPI document: who asks, with which live session, and what every answer has.

Loaded by schemathesis.toml. API_URL is where the service listens.
"""

import itertools
import json
import os

import jsonschema_rs
import requests
import schemathesis
from schemathesis import GenerationMode

URL = os.environ["API_URL"]
# Of every scope but keys:write, for what operators and resource servers ask.
API_KEY = os.environ["API_KEY"]
PASSWORD = "a horse, correct"
# bcrypt's limit, in bytes; JSON Schema counts characters.
PASSWORD_MAX_BYTES = 72
EVERY_ANSWER_HAS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}

serial = itertools.count()


def ask(method, path, token=None, **arguments):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.request(method, URL + path, headers=headers, timeout=10, **arguments)


class Person:
    """Somebody with an account, a session on this device, and now and then one on another device."""

    def __init__(self):
        self.email = f"{os.getpid()}-{next(serial)}@example.com"
        self.take(self.sign("signup", name="Ada"))

    def sign(self, how, **more):
        body = {"email": self.email, "password": PASSWORD, "refreshTokenDelivery": "body", **more}
        answer = ask("POST", f"/{how}", json=body)
        assert answer.ok, f"{how}: {answer.status_code} {answer.text}"
        return answer.json()

    def take(self, tokens):
        self.id = tokens["user"]["id"] if "user" in tokens else self.id
        self.access = tokens["accessToken"]
        self.refresh = tokens["refreshToken"]

    def is_in(self):
        return ask("GET", "/session", self.access).ok

    def is_back(self):
        """Signed in once more. Not where an operator's case met this person: deleted, disabled, with a policy of their own."""
        try:
            self.take(self.sign("login"))
        except AssertionError:
            return False
        return True

    def other_session(self):
        try:
            return self.sign("login")["session"]["id"]
        except AssertionError:
            return "gone"

    def ticket(self):
        return ask("POST", "/events/ticket", self.access).json().get("ticket", "gone")


# A run of cases is one person's, so that what one case has seen is there for the next.
CASES_OF_ONE_PERSON = 25
somebody, cases = None, 0


def who_asks():
    """A person whose session is live: cases end sessions, their own too."""
    global somebody, cases
    cases += 1
    if somebody is None or cases % CASES_OF_ONE_PERSON == 0:
        somebody = Person()
    elif not (somebody.is_in() or somebody.is_back()):
        somebody = Person()
    return somebody


def is_proper(case):
    return case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE


class AsSomebody:
    def get(self, case, context):
        return who_asks()


# These take away the account, its password or its session, or want a proof that is fresh: each time of somebody new.
OF_SOMEBODY_NEW = {
    "DELETE /me",
    "GET /me/export",
    "POST /email/change",
    "POST /factors/totp",
    "POST /password/change",
    "POST /passkeys/options",
    "POST /reauthenticate",
}
OF_KEYS = r"^(/admin/.*|/introspect|/revocations)$"
OF_OTHERS = r"^(/login|/refresh|/events|/ws|/admin/.*|/introspect|/revocations)$"


@schemathesis.auth(refresh_interval=None).skip_for(path_regex=OF_OTHERS)
class WithToken(AsSomebody):
    def get(self, case, context):
        return Person() if case.operation.label in OF_SOMEBODY_NEW else who_asks()

    def set(self, case, person, context):
        case.headers["Authorization"] = f"Bearer {person.access}"
        if is_proper(case) and isinstance(case.body, dict):
            choose_password(case.body)
            if next(serial) % 2:
                show_password(case)
        # Every other time a session that there is.
        if case.path == "/sessions/{id}" and is_proper(case) and next(serial) % 2:
            case.path_parameters["id"] = person.other_session()


def choose_password(body):
    """Another one where no schema can say what is refused: the common ones, like `00000000`, and over 72 bytes of UTF-8."""
    for member in ("password", "newPassword", "currentPassword"):
        text = body.get(member)
        if isinstance(text, str) and (len(set(text)) < 4 or len(text.encode("utf-8", "surrogatepass")) > 72):
            body[member] = "another horse"


def show_password(case):
    """The right one, where an operation asks for it."""
    if case.operation.label == "POST /password/change":
        case.body["currentPassword"] = PASSWORD
    elif case.operation.label == "POST /reauthenticate":
        case.body.clear()
        case.body["password"] = PASSWORD


@schemathesis.auth(refresh_interval=None).apply_to(path_regex=OF_KEYS)
class WithApiKey:
    def get(self, case, context):
        return (Person() if "/users/{id}" in case.path else None,)

    def set(self, case, found, context):
        (person,) = found
        # Only the page before tells one; that of the document's example is made up.
        if is_proper(case) or case.query.get("cursor") == "AAABl":
            case.query.pop("cursor", None)
        # An address is free once.
        if case.operation.label == "POST /admin/users" and is_proper(case) and isinstance(case.body, dict):
            case.body["email"] = f"{os.getpid()}-{next(serial)}@example.org"
        case.headers["Authorization"] = f"Bearer {API_KEY}"
        # Most of the time somebody and something that there is.
        if not (person and is_proper(case) and next(serial) % 4):
            return
        case.path_parameters["id"] = person.id
        if "session" in case.path_parameters:
            case.path_parameters["session"] = person.other_session()
        if case.operation.label in ("PATCH /admin/users/{id}", "DELETE /admin/users/{id}"):
            case.headers["If-Match"] = "*"


@schemathesis.auth(refresh_interval=None).apply_to(path=["/events", "/ws"])
class WithTokenOrTicket(AsSomebody):
    def set(self, case, person, context):
        if next(serial) % 2:
            case.headers["Authorization"] = f"Bearer {person.access}"
        else:
            case.query["ticket"] = person.ticket()


@schemathesis.auth(refresh_interval=None).apply_to(path="/login")
class WithPassword(AsSomebody):
    def set(self, case, person, context):
        # Every other time somebody who may.
        if is_proper(case) and isinstance(case.body, dict) and next(serial) % 2:
            case.body.update(email=person.email, password=PASSWORD)


@schemathesis.auth(refresh_interval=None).apply_to(path="/refresh")
class WithRefreshToken(AsSomebody):
    def set(self, case, person, context):
        way = next(serial) % 3
        if not person.is_back():
            person = Person()
        if way == 0:
            case.cookies["refreshToken"] = person.refresh
        elif way == 1 and is_proper(case) and isinstance(case.body, dict):
            case.body["refreshToken"] = person.refresh


@schemathesis.hook
def filter_body(context, body):
    """What the document says in words alone: a password's bytes, and what is left of a text once it is trimmed."""
    if not isinstance(body, dict):
        return True
    password, name, email = (body.get(member) for member in ("password", "name", "email"))
    fits = not isinstance(password, str) or len(password.encode("utf-8", "surrogatepass")) <= PASSWORD_MAX_BYTES
    blank = any(isinstance(text, str) and text != "" and not text.strip() for text in (name, email))
    return fits and not blank


@schemathesis.check
def contract_headers(context, response, case):
    """What no answer goes without, and a problem that tells its request's id and its own status."""
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    for name, value in EVERY_ANSWER_HAS.items():
        assert headers.get(name) == value, f"{name}: {headers.get(name)}, not {value}"
    assert headers.get("x-request-id"), "no x-request-id"
    assert headers.get("cache-control"), "no cache-control"
    if headers.get("content-type", "").startswith("application/problem+json"):
        problem = response.json()
        assert problem["requestId"] == headers["x-request-id"], "a problem tells another id than its header"
        assert problem["status"] == response.status_code, "a problem tells another status than its answer"
        assert headers["cache-control"] == "no-store", "a problem may be cached"


# What each type of message has beside what all have. The document leaves the type open, so that generated clients can
# read a message whose type they do not know.
MESSAGES = {
    "snapshot": {"sessions"},
    "session.created": {"session"},
    "session.deleted": {"reason"},
    "session.terminated": {"reason"},
    "session.expiring": {"remainingSeconds", "idleExpiresAt"},
    "session.extended": {"idleExpiresAt"},
    "user.updated": {"changed"},
}


@schemathesis.check
def device_messages(context, response, case):
    """Each event of a stream is a DeviceMessage; the first is a snapshot."""
    if case.path != "/events" or response.status_code != 200:
        return
    document = case.operation.schema.raw_schema
    schema = {"$ref": "#/components/schemas/DeviceMessage", "components": document["components"]}
    messages = [json.loads(line[len("data: ") :]) for line in response.text.splitlines() if line.startswith("data: ")]
    assert messages and messages[0]["type"] == "snapshot", f"begins with {messages[:1]}"
    for message in messages:
        jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(message)
        extra = message.keys() - MESSAGES[message["type"]] - {"type", "sessionId", "current", "timestamp", "terminatedBySessionId"}
        assert not extra and MESSAGES[message["type"]] <= message.keys(), f"not as its type has it: {message}"


# What cannot succeed here, and what it wants. Tests of their own try each.
WANTS_MORE = {
    "GET /ws": "a handshake",
    "POST /email/change/confirm": "a mailed code",
    "POST /email/verification/confirm": "a mailed code",
    "POST /password/reset/confirm": "a mailed code",
    "POST /signup/confirm": "REQUIRE_VERIFIED_EMAIL, and a mailed code",
    "POST /login/continue": "a sign-in of two steps",
    "POST /factors/totp/confirm": "an authenticator app",
    "DELETE /factors/totp": "a second factor",
    "POST /factors/recovery-codes": "a second factor",
    "POST /passkeys": "an authenticator",
    "PATCH /passkeys/{id}": "a passkey",
    "DELETE /passkeys/{id}": "a passkey",
}


@schemathesis.check
class EveryOperationSucceeds:
    """Fails where an operation never answered as asked: then what is behind its front door was not tried."""

    def __init__(self):
        self.tried, self.succeeded = set(), set()

    def after_response(self, context, response, case):
        self.tried.add(case.operation.label)
        if response.status_code < 400:
            self.succeeded.add(case.operation.label)

    def after_run(self, context):
        failed = sorted(self.tried - self.succeeded - WANTS_MORE.keys())
        assert not failed, f"never answered with success: {', '.join(failed)}"
