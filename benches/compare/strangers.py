"""What strangers can do to others: with rate limits at their defaults, behind the shipped gateway and without it."""

import multiprocessing
import os
import socket
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection

from load import at_once, read_answer
from service import ROOT, Process, Service, free_port

ROUNDS = 3
SECONDS = 4
# Requests a second of the others.
PACE = 100
FAILED_LOGINS = 100_000
# Refused requests wait for each other on a connection.
GUESSERS = 100
HALF_OPEN = 5_000
FRAME = b'\x81\x93\0\0\0\0{"type":"activity"}'


def strangers(_options):
    # Only the sign-ups of this program itself are not limited.
    settings = {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_SIGNUP_PER_HOUR": 0, "TRUSTED_PROXIES": "127.0.0.1/32"}
    with Service(BCRYPT_COST=4, **settings) as service:
        people = [service.sign_up(f"person{number}")["accessToken"] for number in range(40)]
        with gateway(service) as front:
            for name, port in ("Caddy", front.port), ("the port itself", service.port):
                yield from attacks(service, people, name, port)
        yield half_open(service, people)
    for name, more in ("default limits", {}), ("no limit of logins", {"RATE_LIMIT_LOGIN_PER_MINUTE": 0}):
        with Service(BCRYPT_COST=4, **settings, **more) as service:
            yield failed_logins(service, name)


@contextmanager
def gateway(service):
    """The shipped gateway before that service."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "CADDY_ADMIN": "off",
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "GATEWAY_ADDRESS": f"http://127.0.0.1:{free_port()}",
            "AUTH_ADDRESS": f"http://127.0.0.1:{port}",
            "AUTH_NODES": "list",
            "AUTH_UPSTREAMS": f"127.0.0.1:{service.port}",
            "LEGACY_UPSTREAMS": "127.0.0.1:1",
        }
        config = ROOT / "deploy/caddy/Caddyfile"
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", config]
        with Process(command, port, environment, "/health/live") as front:
            yield front


def attacks(service, people, name, port):
    quiet, attacked, logged = [], {"20 sockets": [], "20 connections that pipeline": []}, []
    for _ in range(ROUNDS):
        quiet.append(others(port, people, SECONDS))
        for attack, found in attacked.items():
            before = os.fstat(service.log.fileno()).st_size
            with attacker(attack, port, people[0]):
                found.append(others(port, people, SECONDS))
            logged.append(os.fstat(service.log.fileno()).st_size - before)
    base = statistics.median(quiet)
    for attack, found in attacked.items():
        p99 = statistics.median(found)
        yield f"Others' p99 while one client has {attack}, through {name}", "< 3 × quiet", (
            f"{p99 / base:.1f} × ({p99:.1f} ms against {base:.1f} ms)"
        )
    yield f"The log meanwhile, through {name}", "< 1 MB a minute", f"{max(logged) * 60 / SECONDS / 1e6:.3f} MB"


def others(port, people, seconds):
    """The p99 in ms of clients that ask about their sessions at a steady pace; each must get its answer."""
    connection, times = HTTPConnection("127.0.0.1", port, timeout=30), []
    began = time.monotonic()
    for number in range(seconds * PACE):
        time.sleep(max(0, began + number / PACE - time.monotonic()))
        asked = time.monotonic()
        connection.request("GET", "/session", headers={"Authorization": f"Bearer {people[1 + number % (len(people) - 1)]}"})
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.monotonic() - asked) * 1000)
        if answer.status != 200:
            raise SystemExit(f"another client got {answer.status}: {body.decode()}")
    return statistics.quantiles(times, n=100)[98]


@contextmanager
def attacker(attack, port, token):
    """A process of its own, so that it does not slow the others down by itself."""
    work = flood if attack == "20 sockets" else pipeline
    process = multiprocessing.Process(target=in_threads, args=(work, port, token), daemon=True)
    process.start()
    try:
        # Until the attack is under way.
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.join()


def in_threads(work, port, token):
    for _ in range(20):
        threading.Thread(target=for_ever, args=(work, port, token), daemon=True).start()
    time.sleep(3600)


def for_ever(work, port, token):
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                work(connection, token)
        except OSError:
            # Closed, or refused: comes back like a client that does not care.
            time.sleep(0.05)


def flood(connection, token):
    connection.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    if not connection.recv(4096).startswith(b"HTTP/1.1 101"):
        raise OSError("no handshake")
    while True:
        connection.sendall(FRAME * 200)


def pipeline(connection, _token):
    asked = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200
    threading.Thread(target=drain, args=(connection,), daemon=True).start()
    while True:
        connection.sendall(asked)


def drain(connection):
    try:
        while connection.recv(1 << 20):
            pass
    except OSError:
        return


def half_open(service, people):
    """Connections in the middle of a head."""
    held = []
    try:
        for number in range(HALF_OPEN):
            connection = socket.create_connection(("127.0.0.1", service.port), 30, (f"127.0.1.{1 + number // 2_500}", 0))
            connection.sendall(b"GET /session HTTP/1.1\r\nHost: ben")
            held.append(connection)
        p99 = others(service.port, people, 2)
    finally:
        for connection in held:
            connection.close()
    return f"Others' p99 beside {HALF_OPEN:,} half-open connections", "all answered", f"{p99:.1f} ms, all answered"


def failed_logins(service, name):
    """Long and distinct addresses, after as many with which everything there is has been used once."""
    log_in(service, 20_000, "first")
    before = service.resident_bytes()
    log_in(service, FAILED_LOGINS, "then")
    grown = (service.resident_bytes() - before) / 1e6
    return f"Memory after {FAILED_LOGINS:,} failed logins with {name}", "within 10 MB", f"{grown:+.1f} MB"


def log_in(service, count, prefix):
    each = count // GUESSERS
    at_once([partial(log_in_on_one, service, each, f"{prefix}.{number}") for number in range(GUESSERS)])


def log_in_on_one(service, count, prefix):
    domain = ".".join(["d" * 60] * 3)
    with socket.create_connection(("127.0.0.1", service.port), 120) as connection:
        answers = connection.makefile("rb")
        for at in range(0, count, 100):
            for number in range(at, min(at + 100, count)):
                body = f'{{"email":"{prefix}.{number:040}@{domain}","password":"wrong horse battery"}}'
                connection.sendall(
                    b"POST /login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                    + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
                )
            for _ in range(at, min(at + 100, count)):
                read_answer(answers, allowed=(b" 401 ", b" 429 "))
