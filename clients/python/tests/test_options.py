"""What cannot mean what it says is refused where it is written: a misspelt check would check nothing."""

import time

import jwt
import pytest
from fake_service import SECRET, token

from auth_service_verifier import AuthError, create_verifier
from auth_service_verifier.fastapi import require_session

WRONG_CHECKS = [
    *(({"acr": acr}, "acr is aal1 or aal2") for acr in ("AAL2", "aal3", "aal2 ", "", 2, ["aal2"])),
    *(({"roles": roles}, "roles is a collection") for roles in ("PRO", "PROFESSIONAL", "", b"PRO", 1)),
    *(({"max_age": age}, "max_age is a number of seconds") for age in (-1, float("nan"), "300", "")),
]


@pytest.fixture
async def verifier():
    async with create_verifier(issuer="auth-service", secret=SECRET, on_unsure="accept") as made:
        yield made


@pytest.mark.parametrize(("options", "complaint"), WRONG_CHECKS)
async def test_a_check_that_would_check_nothing_is_refused(verifier, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        require_session(verifier, **options)
    for sent in (token(), None, "nonsense"):
        with pytest.raises(ValueError, match=complaint):
            await verifier.verify(sent, **options)
    with pytest.raises(ValueError, match=complaint):
        await verifier.verify_header(f"Bearer {token()}", **options)


def test_a_dependency_with_a_misspelt_option_is_not_made(verifier):
    with pytest.raises(TypeError, match="role"):
        require_session(verifier, role=["PRO"])


async def test_aal1_and_aal2_are_levels_and_an_empty_collection_of_roles_accepts_nobody(verifier):
    def of(acr):
        now = int(time.time())
        claims = {"iss": "auth-service", "sub": "ada", "sid": "laptop", "role": "PRO", "acr": acr, "iat": now, "exp": now + 900}
        return jwt.encode(claims | {"auth_time": now}, SECRET, "HS256", headers={"typ": "at+jwt"})

    await verifier.verify(of("aal1"), acr="aal1", roles=["PRO"], max_age=60)
    await verifier.verify(of("aal2"), acr="aal1", roles={"PRO"})
    await verifier.verify(of("aal2"), acr="aal2", roles=("PRO", "ADMIN"))
    await verifier.verify(of("aal1"), acr=None, roles=None, max_age=None)
    refusals = [({"acr": "aal2"}, "fresh_authentication_required"), ({"roles": []}, "insufficient_scope")]
    for options, code in [*refusals, ({"roles": ["PROFESSIONAL"]}, "insufficient_scope")]:
        with pytest.raises(AuthError) as refused:
            await verifier.verify(of("aal1"), **options)
        assert refused.value.code == code


@pytest.mark.parametrize("secret", ["", [], [""], ["", SECRET], [SECRET, ""], (), [None]])
def test_an_empty_secret_is_refused(secret):
    with pytest.raises(ValueError, match="empty"):
        create_verifier(issuer="auth-service", secret=secret, on_unsure="accept")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *(({"issuer": issuer}, "issuer is needed") for issuer in (None, "")),
        ({"audience": ""}, "audience is empty"),
        *(({"on_unsure": way}, "ask, refuse or accept") for way in ("refused", "Accept", "", None)),
        *(({"max_staleness": age}, "at least 0.1 seconds") for age in (-1.0, 0, float("nan"))),
        *(({"clock_tolerance": far}, "a number of seconds") for far in (-1, float("nan"), float("inf"), "60", None)),
    ],
)
def test_a_verifier_that_would_check_less_than_it_says_is_not_made(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        create_verifier(**({"issuer": "auth-service", "secret": SECRET, "on_unsure": "accept"} | options))


def test_a_misspelt_option_makes_no_verifier():
    with pytest.raises(TypeError, match="audiance"):
        create_verifier(issuer="auth-service", secret=SECRET, on_unsure="accept", audiance="a")


NO_ADDRESSES = (
    *("localhost:4001", "auth-service", "", " ", "/", "//auth-service", "http:", "http://", "http:///path", "https://:4001"),
    *("ftp://auth-service", "redis://a", "http://auth service", "http://a:65536", "http://a:b", "http://[::1", "${AUTH_URL}", 4001),
)


@pytest.mark.parametrize("option", ["service_url", "revocations_url", "jwks_url"])
@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_without_scheme_or_host_is_refused_and_the_option_named(option, url):
    secret = None if option == "jwks_url" else SECRET
    with pytest.raises(ValueError, match=f"^{option} must begin with http:// or https:// and name a host$"):
        create_verifier(**({"issuer": "auth-service", "secret": secret, "on_unsure": "accept"} | {option: url}))


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "redis", "", " ", "redis:", "redis://", "redis:///1", "http://redis:6379", "redis://a b", "redis://a:b", "${REDIS_URL}"],
)
def test_an_address_that_is_not_of_redis_is_refused_and_the_option_named(url):
    with pytest.raises(ValueError, match="^redis_url must begin with redis:// or rediss:// and name a host$"):
        create_verifier(issuer="auth-service", secret=SECRET, on_unsure="accept", redis_url=url)


def test_usual_addresses_are_taken():
    usual = {"issuer": "auth-service", "on_unsure": "accept"}
    for url in ("http://auth-service:4001", "https://auth.example/base/", "HTTP://127.0.0.1", "http://[::1]:4001/", "http://auth_service"):
        create_verifier(secret=SECRET, service_url=url, revocations_url=url, **usual)
        create_verifier(jwks_url=url, **usual)
    for url in ("redis://127.0.0.1:1", "rediss://:password@127.0.0.1:1/2", "redis://user:pass%20word@[::1]:1", "unix:///run/redis.sock"):
        create_verifier(secret=SECRET, redis_url=url, **usual)


@pytest.mark.parametrize(
    "text",
    [
        *("${JWT_ACCESS_SECRET}", "$JWT_ACCESS_SECRET", "%JWT_ACCESS_SECRET%", "${THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE}"),
        *("$THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE", "%THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE%"),
    ],
)
def test_a_placeholder_that_nobody_replaced_is_no_secret(text):
    for secret in (text, [SECRET, text]):
        with pytest.raises(ValueError, match="^secret is a variable that was not replaced$"):
            create_verifier(issuer="auth-service", secret=secret, on_unsure="accept")


def test_a_secret_with_dollars_is_a_secret():
    for secret in ("a", "ä", "$" * 32, "50% of ${this} and $that, or %those%"):
        create_verifier(issuer="auth-service", secret=secret, on_unsure="accept")
