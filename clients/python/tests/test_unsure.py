"""What a verifier does when it cannot know, and what it accepts as knowledge."""

import time
from contextlib import AsyncExitStack

import pytest
from fake_service import SECRET, FakeService, token, until

from auth_service_verifier import AuthError, create_verifier


@pytest.fixture
async def service():
    async with FakeService() as made:
        yield made


@pytest.fixture
async def verifier(service):
    """Makes verifiers that follow the service."""
    async with AsyncExitStack() as made:

        async def make(**options):
            common = {"issuer": "auth-service", "secret": SECRET, "service_url": service.url, "api_key": "ak_a_b"}
            return await made.enter_async_context(create_verifier(**(common | options)))

        yield make


async def refusal(awaitable):
    with pytest.raises(AuthError) as refused:
        await awaitable
    return refused.value


async def follow(service, *verifiers, since=None):
    """Tells the verifiers that all endings since then, or of the last minute, have been sent."""
    await until("they follow", lambda: service.followers == len(verifiers))
    service.reset(time.time() - 60 if since is None else since)
    service.heartbeat()
    await until("they are up to date", lambda: all(each.status.up_to_date for each in verifiers))


async def test_where_nothing_is_known_it_asks_refuses_or_accepts(service, verifier):
    service.revocations = 503
    ask, refuse, accept = [await verifier(on_unsure=way) for way in ("ask", "refuse", "accept")]
    assert (await ask.verify(token())).user_id == "ada"
    assert service.asked == 1
    error = await refusal(refuse.verify(token()))
    assert (error.status, error.code, error.retry_after, error.www_authenticate) == (503, "unavailable", 1, None)
    assert (await accept.verify(token())).session_id == "laptop"
    assert service.asked == 1
    # If it cannot ask either, that is no reason to sign anybody out.
    service.session = 500
    assert (await refusal(ask.verify(token()))).status == 503
    service.session = 401
    assert (await refusal(ask.verify(token()))).code == "session_terminated"


async def test_it_knows_since_the_reset_and_asks_once_about_an_older_token(service, verifier):
    it = await verifier()
    await follow(service, it)
    await it.verify(token("phone", issued=time.time() - 10))
    assert service.asked == 0
    for _ in range(3):
        service.heartbeat()
        await it.verify(token(issued=time.time() - 120))
    assert service.asked == 1
    service.ended("laptop", "evicted")
    service.ended("phone", "a reason of a later version")
    await until("both are remembered", lambda: it.status.remembered == 2)
    codes = [(await refusal(it.verify(token(sid)))).code for sid in ("laptop", "phone")]
    assert codes == ["session_evicted", "session_terminated"]


async def test_a_heartbeat_that_waited_on_the_way_is_no_news(service, verifier):
    it = await verifier(on_unsure="refuse")
    await follow(service, it)
    await until("its knowledge is old", lambda: not it.status.up_to_date)
    service.heartbeat(1.1)
    service.ended("phone", "logout")
    await until("it was heard", lambda: it.status.remembered == 1)
    assert not it.status.up_to_date
    assert (await refusal(it.verify(token()))).status == 503
    service.heartbeat()
    await until("it is up to date", lambda: it.status.up_to_date)


async def test_a_broken_stream_goes_on_from_its_cursor_and_keeps_what_it_remembered(service, verifier):
    it = await verifier(on_unsure="refuse")
    await follow(service, it)
    service.ended("laptop", "logout")
    service.heartbeat(cursor="place-7")
    await until("it is remembered", lambda: it.status.remembered == 1)
    service.drop()
    await until("it comes back", lambda: len(service.cursors) == 2 and service.followers == 1)
    assert service.cursors == [None, "place-7"]
    service.heartbeat()
    await until("it is up to date", lambda: it.status.up_to_date)
    assert (await refusal(it.verify(token()))).code == "session_logged_out"
    await it.verify(token("phone"))


@pytest.mark.parametrize("nonsense", ["data: []\n\n", "event: reset\ndata: {}\n\n", "event: heartbeat\ndata: {}\n\n"])
async def test_a_message_that_it_cannot_read_does_not_end_its_following(service, verifier, nonsense):
    it = await verifier(on_unsure="refuse")
    await until("it follows", lambda: service.followers == 1)
    service.tell(nonsense)
    await until("it tries again", lambda: len(service.cursors) == 2)
    await follow(service, it)


@pytest.mark.parametrize("offset", [30, -30])
async def test_its_own_clock_may_be_off_by_as_much_as_it_allows_for(service, verifier, offset):
    # The service's clock differs. Only `exp` is compared with the verifier's own clock.
    it = await verifier(on_unsure="refuse")
    tolerant = await verifier(on_unsure="refuse", clock_tolerance=35)
    there = time.time() + offset
    await follow(service, it, tolerant, since=there - 60)
    await it.verify(token(issued=there))
    await tolerant.verify(token(issued=there, lasts=20))


async def test_an_ending_is_remembered_for_as_long_as_a_token_is_accepted(service, verifier):
    it = await verifier(clock_tolerance=60)
    await follow(service, it)
    service.ended("laptop", "logout", lasts=-30)
    service.ended("0198c1a2-3b4d-7a10-9c2b-5d6e7f809112", "logout", lasts=-90)
    await until("both are remembered", lambda: it.status.remembered == 2)
    it._sessions._forgot_at -= 60
    service.heartbeat()
    await until("one is forgotten", lambda: it.status.remembered == 1)
    error = await refusal(it.verify(token(issued=time.time() - 930)))
    assert error.code == "session_logged_out"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"api_key": "k", "redis_url": "redis://a", "service_url": "http://a"}, "not both"),
        ({"api_key": "k", "on_unsure": "refuse"}, "revocations_url"),
        ({"on_unsure": "ask"}, "service_url"),
        ({"on_unsure": "guess"}, "ask, refuse or accept"),
        ({"on_unsure": "accept", "max_staleness": 0.01}, "max_staleness"),
        ({"on_unsure": "accept", "jwks_url": "http://a"}, "exactly one"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        create_verifier(issuer="a", secret=SECRET, **options)
