"""What goes wrong again and again is logged at once, and then once a minute."""

import asyncio
import logging

import pytest
from fake_service import SECRET, FakeService, token, until

from auth_service_verifier import AuthError, create_verifier
from auth_service_verifier.once_a_minute import OnceAMinute


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "auth_service_verifier")
    return lambda: [line.getMessage() for line in caplog.records if line.name == "auth_service_verifier"]


def test_a_warning_is_due_at_once_and_then_once_a_minute():
    warnings = OnceAMinute()
    assert [at for at in (5, 6, 64, 65, 66, 124, 130) if warnings.is_due(at)] == [5, 65, 130]


async def test_while_redis_is_down_there_is_one_warning_though_it_is_tried_again(lines):
    tries = []

    def hang_up(_, writer):
        tries.append(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as redis:
        url = f"redis://127.0.0.1:{redis.sockets[0].getsockname()[1]}"
        async with create_verifier(issuer="auth-service", secret=SECRET, on_unsure="accept", redis_url=url):
            await until("it has tried four times", lambda: len(tries) >= 4)
    assert len(lines()) == 1
    assert lines()[0].startswith("cannot follow the events of the auth service: ")


async def test_while_the_service_refuses_the_api_key_there_is_one_warning(lines):
    async with FakeService() as service:
        service.revocations = 401
        async with create_verifier(issuer="auth-service", secret=SECRET, service_url=service.url, api_key="ak_a_b"):
            await until("it has tried four times", lambda: len(service.cursors) >= 4)
    assert lines() == ["cannot follow the endings of the auth service: the auth service answered 401"]


async def test_a_secret_that_is_not_the_auth_services_is_warned_about_once(lines):
    for secret in ("another-secret-of-the-tests-0123456789abcdef", ["another-secret-of-the-tests-0123456789abcdef"] * 2):
        verifier = create_verifier(issuer="auth-service", secret=secret, on_unsure="accept")
        for sent in [token(), "nonsense"] * 3:
            with pytest.raises(AuthError):
                await verifier.verify(sent)
    assert lines() == ["the signature of a token does not match: is the secret the auth service's own JWT_ACCESS_SECRET?"] * 2


async def test_a_good_token_and_one_that_is_not_an_access_token_cause_no_warning(lines):
    async with create_verifier(
        issuer="auth-service", secret=["another-secret-of-the-tests-0123456789abcdef", SECRET], on_unsure="accept"
    ) as verifier:
        await verifier.verify(token())
        for sent in (token(lasts=-1), "nonsense"):
            with pytest.raises(AuthError):
                await verifier.verify(sent)
    assert lines() == []
