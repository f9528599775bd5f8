"""The comparisons of scripts/bench. Each prints rows of (what, reach, found); `all` also writes them to a file."""

import argparse
import datetime
import ipaddress
import multiprocessing
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import admin
import pool
import scale
import shared
import strangers
from load import drive, visit_all
from seed import seed
from service import BUILT, Bare, Service, key_file, token_maker

CORES = os.cpu_count()
ROUNDS = 3


def median(values):
    return statistics.median(values)


def requests(options):
    """CPU time of a session check and of an activity, next to the bare framework's, and of a gateway's check next to both."""
    with tempfile.TemporaryDirectory() as folder, Bare() as bare:
        for algorithm in ("HS256", "EdDSA"):
            settings = {"JWT_ALGORITHM": algorithm}
            if algorithm != "HS256":
                settings["JWT_PRIVATE_KEY_FILE"] = key_file(folder, algorithm)
            with Service(BCRYPT_COST=4, **settings) as service:
                tokens = [service.sign_up(f"bench{number}")["accessToken"] for number in range(100)]
                kinds = {
                    "session": (service, "/session", "GET"),
                    "bare session": (bare, "/session", "GET"),
                    "activity": (service, "/activity", "POST"),
                    "bare activity": (bare, "/activity", "POST"),
                    "verify": (service, "/verify", "GET"),
                }
                found = {kind: [] for kind in kinds}
                # Many short rounds in turn: a machine's speed changes within seconds.
                for _ in range(3 * ROUNDS):
                    for kind, (server, path, method) in kinds.items():
                        found[kind].append(drive(server, path, tokens, method=method, seconds=2))
            for kind, path, reach in (("session", "GET /session", "≤ 1.35"), ("activity", "POST /activity", "≤ 1.6")):
                cpu = median(run.cpu_us for run in found[kind])
                base = median(run.cpu_us for run in found[f"bare {kind}"])
                rate = median(run.per_second for run in found[kind])
                what = f"`{path}`, {algorithm}: CPU per request ÷ bare framework's"
                yield what, reach, f"{cpu / base:.2f} ({cpu:.1f} µs ÷ {base:.1f} µs; {rate:,.0f} a second beside wrk)"
            cpu, base = (median(run.cpu_us for run in found[kind]) for kind in ("verify", "session"))
            yield f"`GET /verify`, {algorithm}: CPU per request ÷ GET /session's", "≤ 1.1", f"{cpu / base:.2f} ({cpu:.1f} µs ÷ {base:.1f} µs)"


def start(options):
    """Time from start to the first healthy answer, and memory at that point."""
    seconds, resident = [], []
    for _ in range(5):
        with Service(BCRYPT_COST=4) as service:
            time.sleep(1)
            seconds.append(service.start_seconds)
            resident.append(service.resident_bytes())
    yield "Start to first ready answer, embedded", "≤ 100 ms", f"{median(seconds) * 1e3:.0f} ms"
    yield "Resident memory idle, embedded", "≤ 30 MB", f"{median(resident) / 1e6:.0f} MB"


def logins(options):
    """Logins compared with what the cores hash if they do nothing else, with session checks meanwhile."""
    with Service(PASSWORD_QUEUE=256) as service:
        token = service.sign_up()["accessToken"]
        # Another person: each login beyond the limit ends a session.
        service.sign_up("storm")
        account = {"email": "storm@example.com", "password": "correct horse battery"}
        quiet = median(checks(service, token, 5).p99_ms for _ in range(ROUNDS))
        with Storm(service, account) as storm:
            beside = storm.count()
            during = median(checks(service, token, 5).p99_ms for _ in range(ROUNDS))
            rate_beside = storm.rate_since(beside)
        # In turn: a machine's speed changes within minutes.
        found = []
        for _ in range(ROUNDS):
            one, all_cores = hashes_a_second(1), hashes_a_second(CORES)
            with Storm(service, account) as storm:
                began = storm.count()
                time.sleep(10)
                found.append((storm.rate_since(began), one, all_cores))
        rate, one, all_cores = (median(column) for column in zip(*found))
        reached = median(rate / (CORES * one) for rate, one, _ in found)
        possible = median(all_cores / (CORES * one) for _, one, all_cores in found)
        of_all = median(rate / all_cores for rate, _, all_cores in found)
    yield "Logins a second ÷ (cores ÷ one bcrypt)", "≥ 0.95", (
        f"{reached:.2f}; bcrypt alone on all cores {possible:.2f}, so {of_all:.2f} of what can be had "
        f"({rate:.2f} logins a second; alone {one:.2f} on one core, {all_cores:.2f} on {CORES})"
    )
    yield "`/session` p99 in a login storm, against quiet", "≤ 3 ×, ≤ 20 ms", (
        f"{during / quiet:.1f} × ({during:.1f} ms against {quiet:.1f} ms; {rate_beside:.1f} logins a second beside it)"
    )


def hashes_a_second(threads, seconds=5):
    command = [BUILT / "examples/hash", "12", str(threads), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


class Storm:
    """Logins of one account, as fast as they are answered."""

    def __init__(self, service, account):
        self.stop, self.done = threading.Event(), []
        work = (service, account, self.stop, self.done)
        self.workers = [threading.Thread(target=log_in, args=work) for _ in range(4 * CORES)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.stop.set()
        for worker in self.workers:
            worker.join(30)

    def count(self):
        return time.monotonic(), len(self.done)

    def rate_since(self, earlier):
        now, done = self.count()
        return (done - earlier[1]) / (now - earlier[0])


def checks(service, token, seconds):
    """Few connections: this measures how long an answer takes, not how many there can be."""
    return drive(service, "/session", [token], seconds=seconds, connections=4)


def log_in(service, account, stop, done):
    while not stop.is_set():
        try:
            service.post("/login", account)
            done.append(None)
        except OSError:
            time.sleep(0.05)


def statements(options):
    """Statements to the database for each kind of change."""
    in_postgres = {"DATABASE_URL": shared.new_database(), "REDIS_URL": shared.REDIS}
    for place, settings in (("PostgreSQL", in_postgres), ("embedded", {})):
        with Service(BCRYPT_COST=4, ACTIVITY_FLUSH_SECONDS=60, **settings) as service:
            found = statements_of(service)
        for kind, reach in (("login", 5), ("logout", 4), ("refresh", 3)):
            yield f"Statements of a {kind}, user resident, {place}", f"≤ {reach}", f"{min(found[kind]):.0f}"


def statements_of(service):
    """The lowest counts, because now and then the publisher's own statements fall into the measurement."""
    service.sign_up()
    account = {"email": "bench@example.com", "password": "correct horse battery", "refreshTokenDelivery": "body"}

    def counted(work):
        before = service.metric("auth_database_statements_total")
        result = work()
        return result, service.metric("auth_database_statements_total") - before

    found = {"login": [], "refresh": [], "logout": []}
    for _ in range(50):
        signed_in, count = counted(lambda: service.post("/login", account))
        found["login"].append(count)
        body = {"refreshToken": signed_in["refreshToken"]}
        refreshed, count = counted(lambda: service.post("/refresh", body))
        found["refresh"].append(count)
        _, count = counted(lambda: service.post("/logout", {}, refreshed["accessToken"]))
        found["logout"].append(count)
    return found


def memory(options):
    """Resident users with two sessions each: their memory, and what they do to throughput."""
    few, *more = sorted(options.residents)
    with Populated(few) as small:
        yield small.row()
        for count in more:
            with Populated(count) as large:
                yield large.row()
                # In turn: a machine's speed changes within minutes.
                runs = [(large.check(3), small.check(3)) for _ in range(3 * ROUNDS)]
            many, base = (median(found) for found in zip(*runs))
            yield f"Session checks per CPU time with {count:,} resident against {few:,}", "≥ 0.9", (
                f"{base / many:.2f} ({many:.1f} µs against {base:.1f} µs a request)"
            )


class Populated:
    """A service with that many residents, each of whom was requested once."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="auth-service-bench."))
        # Sessions must not become idle before all users are resident. A session keeps the timeout that it was opened with.
        settings = {"MAX_RESIDENT_USERS": 2 * self.count + 1000, "SESSION_TIMEOUT_MINUTES": 600, "BCRYPT_COST": 4}
        with Service(self.folder, **settings) as service:
            example = service.sign_up()["accessToken"]
        people = seed(self.folder, example, self.count)
        make = token_maker(example)
        self.tokens = [make(*person) for person in people]
        self.service = Service(self.folder, **settings)
        return self

    def __exit__(self, *problem):
        self.service.__exit__(*problem)
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self, seconds):
        return drive(self.service, "/session", self.tokens, seconds=seconds).cpu_us

    def row(self):
        """Their memory once their actors are deactivated."""
        service, count = self.service, self.count
        before = service.resident_bytes()
        visit_all(service, self.tokens)
        resident = service.metric("auth_resident_users")
        if resident < count:
            raise SystemExit(f"only {resident} of {count} users are resident")
        awake, actors = service.resident_bytes(), service.metric("auth_user_actors")
        while service.metric("auth_user_actors") > 0:
            time.sleep(0.5)
        after = service.resident_bytes()
        return f"Memory per resident user with two sessions, {count:,} of them", "≤ 1.5 KB", (
            f"{(after - before) / count:,.0f} B (process {after / 1e6:,.0f} MB; {(awake - before) / count:,.0f} B "
            f"just after they came, while {actors:,.0f} actors had not come to rest)"
        )


def devices(options):
    """Open event streams that send nothing, compared with streams of the framework alone."""
    room, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = room - 500
    with Bare() as bare:
        alone = streams_of([(bare, ["none"])], min(most, options.devices))
    # One process may not have enough file descriptors: then several, each with as many streams as it can
    # hold.
    processes = -(-options.devices // most)
    count = -(-options.devices // processes)
    limits = {"MAX_CONNECTIONS_PER_SESSION": 1000, "MAX_CONNECTIONS_PER_NODE": 2 * count}
    with ExitStack() as stack:
        services = [stack.enter_context(Service(BCRYPT_COST=4, **limits)) for _ in range(processes)]
        served = [(each, [each.sign_up(f"bench{number}")["accessToken"] for number in range(100)]) for each in services]
        each = streams_of(served, count)
    yield f"Open event stream, {processes * count:,} at once in {processes} processes", "≤ 10 KB", (
        f"{each / 1e3:.1f} KB (the framework alone {alone / 1e3:.1f} KB)"
    )


def streams_of(served, count):
    """Bytes that a stream takes, with that many open on each of the servers at the same time."""
    before = sum(server.resident_bytes() for server, _ in served)
    with ExitStack() as stack:
        for number, (server, tokens) in enumerate(served):
            stack.enter_context(Holder(server.port, tokens, count, 127 * 2**24 + 2 + 10 * number))
        after = sum(server.resident_bytes() for server, _ in served)
    return (after - before) / count / len(served)


class Holder:
    """A process that holds event streams, since this one may not have that many file descriptors."""

    def __init__(self, port, tokens, count, first_address):
        self.here, there = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=hold, args=(there, port, tokens, count, first_address))

    def __enter__(self):
        self.process.start()
        if self.here.recv() != "open":
            raise SystemExit("an event stream was refused")

    def __exit__(self, *_):
        self.here.send("close")
        self.process.join(60)


def hold(told, port, tokens, count, first_address):
    held = []
    for number in range(count):
        # Several addresses: one does not have enough ports, and those of an earlier run are not free
        # again at once.
        source = str(ipaddress.ip_address(first_address + number // 5_000))
        connection = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
        token = tokens[number % len(tokens)]
        connection.sendall(f"GET /events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            told.send("refused")
            return
        held.append(connection)
    told.send("open")
    told.recv()


COMPARISONS = {
    "requests": requests,
    "start": start,
    "statements": statements,
    "logins": logins,
    "push": shared.push,
    "heartbeats": shared.heartbeats,
    "express": shared.express,
    "scale": scale.scale,
    "pool": pool.pool,
    "admin": admin.admin,
    "memory": memory,
    "devices": devices,
    "strangers": strangers.strangers,
}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*COMPARISONS, []], help="which of them; all, if none is named")
    parser.add_argument("--residents", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="numbers of users")
    parser.add_argument("--endings", type=int, default=500, help="how many endings are timed")
    parser.add_argument("--changes", type=int, default=2_000, help="how many logins, refreshes and logouts are counted")
    parser.add_argument("--active", type=int, default=100_000, help="number of sessions that report activity")
    parser.add_argument("--devices", type=int, default=50_000, help="number of event streams")
    parser.add_argument("--write", type=Path, help="a Markdown file whose table between the marks is replaced")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    for name in options.which or COMPARISONS:
        for row in COMPARISONS[name](options):
            print("{}\n    reach {}: {}".format(*row), flush=True)
            rows.append(row)
    if options.write:
        write(options.write, rows)


def write(path, rows):
    begin, end = "<!-- table: written by scripts/bench -->", "<!-- end of table -->"
    text = path.read_text()
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    machine = f"{CORES} cores ({processor()}), {platform.system()} {platform.release()}"
    day = datetime.date.today().isoformat()
    command = " ".join(["scripts/bench", *sys.argv[1:]])
    table = ["| what | reach | found |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    parts = [f"{head}{begin}", f"{day}, {machine}. `{command}`", "\n".join(table), f"{end}{tail}"]
    path.write_text("\n\n".join(parts))


def processor():
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
