"""Known keys continue to verify while newer ones cannot be fetched from the auth service."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest

from auth_service_verifier import AuthError, create_verifier

FILE = json.loads((Path(__file__).parents[2] / "vectors.json").read_text())
GOOD = next(each["token"] for each in FILE["vectors"] if each["verify"] == "jwks" and each["accepted"])


def with_unknown_key():
    head, rest = GOOD.split(".", 1)
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    return base64.urlsafe_b64encode(json.dumps(header | {"kid": "another"}).encode()).decode().rstrip("=") + "." + rest


class KeyServer:
    """Answers with its keys, or as ``mode`` says: ``fail``, ``hang``, ``drip`` an endless answer, or ``none`` of the keys left."""

    mode = "answer"
    asked = 0

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.mode == "hang":
            await reader.read()
        if self.mode == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not reader.at_eof():
                writer.write(b" ")
                await asyncio.sleep(0.1)
        body = json.dumps({"keys": []} if self.mode == "none" else FILE["jwks"])
        status = "500 X" if self.mode == "fail" else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
        writer.close()


@pytest.fixture
async def server():
    made = KeyServer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    options = {"issuer": FILE["issuer"], "audience": FILE["audience"], "on_unsure": "accept"}
    async with create_verifier(jwks_url=url, **options) as made.verifier:
        assert await answer(made, GOOD) == 200
        yield made
    listening.close()


async def answer(server, token):
    try:
        await server.verifier.verify(token)
    except AuthError as error:
        return error.status
    return 200


def age(server, minutes):
    """Makes the keys that old, and forgets that fetching them failed."""
    keys = server.verifier._tokens._jwks
    keys._fetched_at = time.monotonic() - minutes * 60
    keys._failed_at = -float("inf")


async def test_a_service_that_hangs_holds_up_nobody_whose_key_is_known(server):
    server.mode = "hang"
    age(server, 6)
    began = time.monotonic()
    waiting = asyncio.create_task(answer(server, with_unknown_key()))
    answers = await asyncio.gather(*(answer(server, GOOD) for _ in range(100)))
    assert set(answers) == {200}
    assert time.monotonic() - began < 1
    assert await waiting == 503, "whose key is not known waits"
    assert server.asked == 2, "one fetch at a time"


async def test_a_request_that_is_given_up_does_not_end_the_fetch(server):
    server.mode = "hang"
    age(server, 61)
    first, second = (asyncio.create_task(answer(server, GOOD)) for _ in range(2))
    await asyncio.sleep(0.1)
    first.cancel()
    assert await second == 503
    assert server.asked == 2


async def test_an_answer_that_comes_by_the_byte_is_given_up(server):
    server.mode = "drip"
    age(server, 61)
    assert await asyncio.wait_for(answer(server, GOOD), 5) == 503


async def test_old_keys_are_replaced_and_not_used_for_more_than_an_hour(server):
    steps = [("fail", 59, 200), ("fail", 61, 503), ("answer", 62, 200)]
    # The first request after a quiet time does not use a withdrawn key.
    for mode, minutes, expected in [*steps, ("none", 6, 401)]:
        server.mode = mode
        age(server, minutes)
        assert await answer(server, GOOD) == expected, (mode, minutes)
