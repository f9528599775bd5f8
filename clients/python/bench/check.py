"""What a check costs compared with the library alone, and the memory of each remembered ending: python
bench/check.py."""

import asyncio
import time
import tracemalloc

import jwt

from auth_service_verifier import create_verifier
from auth_service_verifier.ended_sessions import EndedSessions

SECRET = "access-secret-of-the-tests-0123456789abcdef"
CHECKS = 5_000
ENDINGS = 500_000
NOW = int(time.time())


def uuid(number):
    return f"0198c1a2-3b4d-7a10-9c2b-{number:012x}"


CLAIMS = {
    "iss": "auth-service",
    "sub": uuid(1),
    "sid": uuid(2**40),
    "stk": uuid(3),
    "role": "PRO",
    "client_id": "auth-service",
    "auth_time": NOW,
    "amr": ["pwd"],
    "acr": "aal1",
    "iat": NOW,
    "exp": NOW + 3600,
    "jti": "one",
}
TOKEN = jwt.encode(CLAIMS, SECRET, "HS256", headers={"typ": "at+jwt", "kid": "a"})
OPTIONS = {"require": ["sub", "sid", "iat", "exp", "iss"], "verify_aud": False, "verify_iat": False}


async def library():
    """Awaited as the verifier is, so that both pay for it."""
    return jwt.decode(TOKEN, SECRET, algorithms=["HS256"], issuer="auth-service", options=OPTIONS)


async def micros(*checks):
    """CPU of each, the median of seven rounds. They take turns, so that a busy moment affects all of them."""
    rounds = [[] for _ in checks]
    for _ in range(7):
        for taken, check in zip(rounds, checks):
            began = time.process_time()
            for _ in range(CHECKS):
                await check()
            taken.append((time.process_time() - began) / CHECKS * 1e6)
    return [sorted(taken)[3] for taken in rounds]


async def times():
    verifier = create_verifier(issuer="auth-service", secret=SECRET, on_unsure="accept")
    alone, following = await micros(library, lambda: verifier.verify(TOKEN))
    await verifier.aclose()
    print(f"library alone {alone:.1f} µs, verifier {following:.1f} µs: {following / alone:.2f} ×")


def memory():
    sessions = EndedSessions(1.0, 0.0, lambda *_: None)
    tracemalloc.start()
    for number in range(ENDINGS):
        # A hundred sessions end in the same second.
        expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + number // 100))
        event = {"sessionId": uuid(number), "userId": "ada", "reason": "logout", "tokensExpireAt": expiry}
        sessions._take_ending(event)
    used, _ = tracemalloc.get_traced_memory()
    print(f"an ending {used / ENDINGS:.0f} bytes")


asyncio.run(times())
memory()
