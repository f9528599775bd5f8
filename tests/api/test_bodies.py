"""Bodies that are no proper JSON object are refused as what they are, and nothing else happens."""

import gzip
import itertools
import json
import os

import pytest
from wire import ask

PUBLIC_POSTS = ["/signup", "/login", "/refresh"]
serial = itertools.count()


def registration(**more):
    person = {"name": "Ada", "email": f"body-{os.getpid()}-{next(serial)}@example.com", "password": "a horse, correct"}
    return {**person, **more}


# What is no JSON, or no object, with READ standing for a member that the path reads.
NO_OBJECT = {
    "UTF-8 cut short": b'{"READ": "\xc3"}',
    "UTF-8 too long": b'{"READ": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"READ": "\xed\xa0\x80"}',
    "a byte that is never UTF-8": b'{"READ": "\xff"}',
    "no UTF-8 where nobody looks": b'{"other": "\xff"}',
    "no UTF-8 in a name nobody knows": b'{"\xff": "a"}',
    "a lone surrogate, escaped": b'{"READ": "\\ud800"}',
    "UTF-16": '{"READ": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"READ": "a"}',
    "a raw NUL in a text": b'{"READ": "a\x00b"}',
    "a raw NUL after the object": b'{"READ": "a"}\x00',
    "a raw line break in a text": b'{"READ": "a\nb"}',
    "an array": b'["ada@example.com", "a horse, correct"]',
    "a text": b'"ada@example.com"',
    "null": b"null",
    "two objects": b'{"READ": "a"}{"READ": "b"}',
    "a comment": b'{"READ": "a" /* b */}',
    "a comma too many": b'{"READ": "a",}',
    "single quotes": b"{'READ': 'a'}",
    "not a number": b'{"READ": NaN}',
    "a number where text belongs": b'{"READ": 1}',
    "a truth where text belongs": b'{"READ": true}',
    "an object where text belongs": b'{"READ": {"$ne": ""}}',
    "an array where text belongs": b'{"READ": ["a"]}',
    "nested arrays where text belongs": b'{"READ": ' + b"[" * 8000 + b"]" * 8000 + b"}",
    "nested objects where text belongs": b'{"READ":' * 900 + b"1" + b"}" * 900,
    "nesting without end": b'{"other": ' + b"[" * 16_000,
    "an unended text": b'{"READ": "a',
    "gzip": gzip.compress(b'{"READ": "a"}'),
}


@pytest.mark.parametrize("path", PUBLIC_POSTS)
@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
def test_what_is_no_object_is_invalid_json(path, body):
    answer = ask("POST", path, body=body.replace(b"READ", b"refreshToken" if path == "/refresh" else b"email"))
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize("body", [b"", b" \n\t "])
def test_only_a_refresh_needs_no_body(body):
    for path in ("/signup", "/login"):
        answer = ask("POST", path, body=body)
        assert (answer.status, answer.code) == (400, "invalid_json")
    assert ask("POST", "/refresh", body=body).code == "refresh_token_missing"


@pytest.mark.parametrize("twice", [b'"email": "a@example.com"', b'"\\u0065mail": "a@example.com"', b'"email": null'])
@pytest.mark.parametrize("path", ["/signup", "/login"])
def test_a_member_that_comes_twice_is_refused(path, twice):
    """RFC 8259, section 4: what comes of it is unpredictable; two readers must not see two people."""
    once = json.dumps(registration()).encode()
    answer = ask("POST", path, body=once[:-1] + b", " + twice + b"}")
    assert (answer.status, answer.code) == (400, "invalid_json")


def test_members_nobody_knows_are_ignored_whatever_they_hold():
    odd = {"role": "ADMIN", "id": "0", "__proto__": {"admin": True}, "": None, "\x00": "\x00", "é" * 100: [[[{}]]]}
    odd["surrogate"] = "\ud800"
    body = json.dumps(registration(**odd))
    # Beyond what a double can hold, deeper than any recursion, and an unknown member twice.
    body = body[:-1] + ', "big": 1e400, "long": ' + "9" * 5000 + ', "deep": ' + "[" * 4000 + "]" * 4000 + ', "role": "ADMIN"}'
    answer = ask("POST", "/signup", body=body)
    assert answer.status == 201, answer
    assert answer.json["user"]["role"] == "STARTER"


UNFIT = [("name", "A\x00da"), ("name", "A\x1bda"), ("email", "a\x00@example.com"), ("email", "a\r\nb@example.com")]
UNFIT += [("password", "a horse\x00, correct"), ("password", "é" * 37), ("deviceName", "a\x00b")]
UNFIT += [("name", "x" * 5000), ("email", "x" * 5000 + "@example.com"), ("password", "x" * 5000)]


@pytest.mark.parametrize("member, text", UNFIT, ids=[f"{member}-{number}" for number, (member, _) in enumerate(UNFIT)])
def test_a_text_that_cannot_be_kept_names_its_member(member, text):
    answer = ask("POST", "/signup", body=registration(**{member: text}))
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert [error["field"] for error in answer.json["errors"]] == [member]


@pytest.mark.parametrize("name", ["\u202eadA\u202c", "Zoë 👩‍💻", "'; DROP TABLE users; --", "<script>alert(1)</script>", "%00${7*7}"])
def test_a_name_comes_back_as_it_was_given(name):
    answer = ask("POST", "/signup", body=registration(name=name))
    assert answer.status == 201, answer
    token = answer.json["accessToken"]
    assert ask("GET", "/me", f"Authorization: Bearer {token}").json["user"]["name"] == name


MEDIA_TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "*/*"]
MEDIA_TYPES += ["application/jsonp", "text/json", "", "application/json, text/plain"]


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("path", PUBLIC_POSTS)
def test_only_json_is_taken(path, media_type):
    """A page of another origin can send the first three without asking."""
    answer = ask("POST", path, body=registration(), media_type=media_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
