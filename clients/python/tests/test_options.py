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
