"""What the attacks share: a person who is signed in, and the clients whose slowness takes time to be noticed."""

import itertools
import os

import pytest
import slow
from wire import ask

PASSWORD = "a horse, correct"

# What actix-http does and no hook of it changes; docs/security-model.md tells it.
KNOWN = {
    "[9110, 9.3.1: a body that looks like a request]": "a request that was read already is answered after the last",
}
serial = itertools.count()


class Person:
    def __init__(self):
        self.credentials = {"email": f"attack-{os.getpid()}-{next(serial)}@example.com", "password": PASSWORD}
        answer = ask("POST", "/signup", body={"name": "Ada", "refreshTokenDelivery": "body", **self.credentials})
        assert answer.status == 201, answer
        self.access, self.refresh = answer.json["accessToken"], answer.json["refreshToken"]
        self.bearer = f"Authorization: Bearer {self.access}"


@pytest.fixture
def ada():
    return Person()


@pytest.fixture(scope="session", autouse=True)
def slow_clients():
    """Connected as soon as the first test runs, so that their time passes during the others'."""
    with slow.Clients() as clients:
        yield clients


def pytest_collection_modifyitems(items):
    for item in items:
        for end, reason in KNOWN.items():
            if end in item.nodeid:
                item.add_marker(pytest.mark.xfail(reason=f"actix-http: {reason}", strict=False))
