"""Load by wrk: how many requests, how long they took, and what they cost the server."""

import re
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass
class Outcome:
    """One run."""

    requests: int
    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def millis(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * UNITS[unit]


# Each thread of wrk cycles through the tokens of a file, in an order of its own.
SCRIPT = """
wrk.method = "{method}"
local tokens, at, threads = {{}}, 0, 0
function setup(thread) thread:set("first", threads); threads = threads + 1 end
function init()
  for line in io.lines("{tokens}") do tokens[#tokens + 1] = "Bearer " .. line end
  at = first * 7919
end
function request()
  at = at + {step}
  wrk.headers["Authorization"] = tokens[at % #tokens + 1]
  return wrk.format()
end
"""


# One thread cycles through refresh tokens: each answer has the next one of its session.
REFRESHING = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local tokens, first, last = {{}}, 1, 0
local function keep(token) last = last + 1; tokens[last] = token end
function init()
  for line in io.lines("{tokens}") do keep(line) end
end
function request()
  local token = tokens[first]
  tokens[first] = nil
  first = first + 1
  return wrk.format(nil, nil, nil, '{{"refreshToken":"' .. token .. '"}}')
end
function response(status, headers, body)
  local token = body:match('"refreshToken":"([^"]+)"')
  if token then keep(token) end
end
"""


# The same with checks of other sessions before each refresh.
MIXED = """
local access, at = {{}}, {first} * 7919
for line in io.lines("{access}") do access[#access + 1] = "Bearer " .. line end
local refresh, number = request, 0
function request()
  number = number + 1
  if number % {every} == 0 then return refresh() end
  at = at + 9973
  return wrk.format("GET", "/session", {{["Authorization"] = access[at % #access + 1]}})
end
"""


def drive(server, path, tokens, *, method="GET", seconds=5, connections=64, threads=1):
    """Requests `path` with those access tokens in turn, as fast as possible."""
    # A step that shares no factor with the usual counts, so that neighbours are not requested one after
    # another.
    step = 1 if len(tokens) < 10 else 9973
    return wrk(server, path, SCRIPT, tokens, seconds, connections, threads, method=method, step=step)


def drive_refreshes(server, tokens, *, seconds=5, connections=64):
    """Refreshes as fast as possible, no session on two connections at once: needs more tokens than those."""
    return wrk(server, "/refresh", REFRESHING, tokens, seconds, connections, 1)


def drive_mixed(server, tokens, access, *, every, first, seconds=5, connections=64):
    """One request in so many is a refresh, and the others are checks of those access tokens, in turn from the first."""
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "access"
        names.write_text("\n".join(access) + "\n")
        return wrk(server, "/refresh", REFRESHING + MIXED, tokens, seconds, connections, 1, access=names, every=every, first=first)


def wrk(server, path, script, tokens, seconds, connections, threads, **parts):
    with tempfile.TemporaryDirectory() as folder:
        names, file = Path(folder) / "tokens", Path(folder) / "script.lua"
        names.write_text("\n".join(tokens) + "\n")
        file.write_text(script.format(tokens=names, **parts))
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", file]
        before = server.cpu_seconds()
        run = subprocess.run([*command, server.url + path], capture_output=True, text=True, timeout=seconds + 120)
        cpu = server.cpu_seconds() - before
    told = run.stdout
    if "Non-2xx" in told or run.returncode != 0:
        raise SystemExit(f"wrk: not every answer was good\n{told}{run.stderr}")
    requests = int(re.search(r"(\d+) requests in", told)[1])
    return Outcome(
        requests=requests,
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]),
        cpu_us=cpu / requests * 1e6,
        p50_ms=millis(re.search(r"^\s+50%\s+(\S+)", told, re.M)[1]),
        p99_ms=millis(re.search(r"^\s+99%\s+(\S+)", told, re.M)[1]),
    )


def visit_all(service, tokens):
    """Requests each user once, which activates its actor: over a few connections, many requests at a time."""
    share = -(-len(tokens) // 4)
    parts = [tokens[at : at + share] for at in range(0, len(tokens), share)]
    with ThreadPoolExecutor(len(parts)) as workers:
        # The results are asked for, because a failure in a thread is raised only there.
        list(workers.map(partial(visit, service.port), parts))


def visit(port, tokens, method="GET", path="/session"):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        answers = connection.makefile("rb")
        for at in range(0, len(tokens), 50):
            part = tokens[at : at + 50]
            lines = (f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n" for token in part)
            connection.sendall("".join(lines).encode())
            for _ in part:
                read_answer(answers)


def read_answer(answers, allowed=(b" 200 ",)):
    status, length = answers.readline(), 0
    while (line := answers.readline()) != b"\r\n":
        if not line:
            raise SystemExit("the service hung up")
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = answers.read(length)
    if not any(code in status for code in allowed):
        raise SystemExit(f"{status.decode().strip()} {body.decode()}")


def at_once(work):
    """Does all of that in threads; an error in one is raised here."""
    with ThreadPoolExecutor(len(work)) as threads:
        for done in [threads.submit(part) for part in work]:
            done.result()
