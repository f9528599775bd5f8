"""The comparisons that need PostgreSQL and Redis; scripts/bench has started them."""

import csv
import os
import select
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import uuid
from pathlib import Path

from load import drive, visit, visit_all
from seed import people_of, session_rows, user_rows, written
from service import ROOT, SECRET, TICKS, Process, Service, free_port, token_maker

POSTGRES, REDIS = os.environ.get("TEST_POSTGRES_URL", ""), os.environ.get("TEST_REDIS_URL", "")


def node(database, **settings):
    return Service(DATABASE_URL=database, REDIS_URL=REDIS, BCRYPT_COST=4, **settings)


def new_database():
    """A database of its own, so that comparisons do not see each other's rows."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    psql(POSTGRES, f"CREATE DATABASE {name}")
    return POSTGRES.rsplit("/", 1)[0] + f"/{name}"


def psql(database, command, **options):
    run = subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", database, "-c", command], capture_output=True, text=True, **options
    )
    if run.returncode != 0:
        raise SystemExit(f"psql: {run.stderr}")
    return run.stdout


def p(values, percent):
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


# --- an ending, sent to other devices ---


def connected(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, method, path, token):
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())


class Stream:
    """An open event stream."""

    def __init__(self, port, token):
        self.socket, self.text = connected(port), ""
        ask(self.socket, "GET", "/events", token)
        self.until("snapshot")

    def until(self, kind, about=""):
        """Reads until that event arrives; returns when it did."""
        while not (f'"type":"{kind}"' in self.text and about in self.text):
            self.read()
        self.text = ""
        return time.perf_counter()

    def read(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise SystemExit("an event stream ended")
        self.text += chunk.decode()


def push(options):
    """From the request that ends a session to the message on other devices, next to only a commit and a publication."""
    database = new_database()
    found = {kind: [] for kind in ("here", "there", "answered", "transaction", "statement", "word")}
    with node(database, MAX_SESSIONS_PER_USER=10) as here, node(database) as there:
        endings, committing = Endings(here, there), Committing()
        endings.run(20)
        # In turn: a machine's speed changes within seconds.
        for _ in range(10):
            share = options.endings // 10
            for kind, seconds in endings.run(share).items():
                found[kind] += seconds
            found["transaction"] += committing.run(TRANSACTION, share)
            found["statement"] += committing.run(STATEMENT, share)
            found["word"] += publications(share)
    commit, word = found["transaction"], found["word"]
    beside = f"transaction alone {told(commit)}, as one statement {told(found['statement'])}"
    for where, what, reach, bound in (
        ("here", "same node", "≤ 2 × the commit", lambda percent: 2 * p(commit, percent)),
        ("there", "other node", "≤ 2 × the commit + 2 × a bare publication", lambda percent: 2 * p(commit, percent) + 2 * p(word, percent)),
    ):
        share = " and ".join(f"{p(found[where], percent) / bound(percent):.2f}" for percent in (99, 50))
        yield f"Ending → other device told, {what}, p99", reach, (
            f"{share} of it at p99 and p50 ({told(found[where])}; {beside}; publication alone {told(word)}; "
            f"answered {told(found['answered'])})"
        )


class Endings:
    """A person with a device on each node, and sessions that are ended while both listen."""

    def __init__(self, here, there):
        self.here = here
        self.account = {"email": "bench@example.com", "password": "correct horse battery", "refreshTokenDelivery": "body"}
        self.mine = here.sign_up()["accessToken"]
        beside, elsewhere = here.post("/login", self.account), there.post("/login", self.account)
        self.near, self.far = Stream(here.port, beside["accessToken"]), Stream(there.port, elsewhere["accessToken"])
        # A browser reuses its connection too.
        self.asked = connected(here.port)

    def run(self, count):
        """Seconds until the event arrived on this node and on the other, and until the answer."""
        found = {"here": [], "there": [], "answered": []}
        for _ in range(count):
            ended = self.here.post("/login", self.account)["session"]["id"]
            self.near.until("session.created", ended)
            self.far.until("session.created", ended)
            began = time.perf_counter()
            ask(self.asked, "DELETE", f"/sessions/{ended}", self.mine)
            waiting = {self.near.socket: "here", self.far.socket: "there", self.asked: "answered"}
            while waiting:
                for ready in select.select(list(waiting), [], [], 30)[0]:
                    found[waiting.pop(ready)].append(time.perf_counter() - began)
            self.near.until("session.terminated", ended)
            self.far.until("session.terminated", ended)
            if b" 204 " not in self.asked.recv(4096):
                raise SystemExit("an ending was refused")
        return found


def told(seconds):
    return f"p50 {p(seconds, 50) * 1e3:.2f} ms, p99 {p(seconds, 99) * 1e3:.2f} ms"


# What an ending writes, on tables of the same form: as an ordinary transaction ...
TRANSACTION = """
BEGIN;
UPDATE users SET session_version = session_version + 1, change_stamp = pg_current_xact_id()::text::bigint,
    last_activity_at = CASE WHEN last_activity_at < :n THEN :n ELSE last_activity_at END
    WHERE id = '{user}' AND session_version >= 0;
UPDATE sessions SET ended_at = :n, end_reason = 'terminated', ended_by = id WHERE user_id = '{user}' AND id IN ('{session}');
INSERT INTO bench_outbox (body) VALUES (repeat('x', 400));
COMMIT;
"""
# ... and as one statement, as the service sends it.
STATEMENT = """
WITH held AS (SELECT 1 FROM users WHERE id = '{user}' AND session_version >= 0 FOR NO KEY UPDATE),
live AS (SELECT 1 FROM sessions, held WHERE user_id = '{user}' AND id IN ('{session}') ORDER BY id FOR NO KEY UPDATE OF sessions),
moved AS (UPDATE users SET session_version = session_version + 1, change_stamp = pg_current_xact_id()::text::bigint,
    last_activity_at = CASE WHEN last_activity_at < :n THEN :n ELSE last_activity_at END
    WHERE id = '{user}' AND session_version >= 0 AND (SELECT COUNT(*) FROM live) = 1 RETURNING 1),
changed AS (UPDATE sessions SET ended_at = :n, end_reason = 'terminated', ended_by = id FROM moved
    WHERE user_id = '{user}' AND id IN ('{session}')),
added AS (INSERT INTO bench_outbox (body) SELECT repeat('x', 400) FROM moved)
SELECT 1 FROM moved;
"""


class Committing:
    """A client that only commits (pgbench), on tables like the service's."""

    def __init__(self):
        self.database = new_database()
        with node(self.database) as service:
            signed_up = service.sign_up()
        self.ids = {"user": signed_up["user"]["id"], "session": signed_up["session"]["id"]}
        psql(self.database, "CREATE TABLE bench_outbox (id bigserial PRIMARY KEY, body text)")

    def run(self, statements, count):
        """Seconds that each of that many commits takes."""
        with tempfile.TemporaryDirectory(dir=os.environ["BENCH_DIR"]) as folder:
            file = Path(folder) / "commit.sql"
            file.write_text("\\set n random(1, 1000000)\n" + statements.format(**self.ids))
            # The first ones prepare the statements.
            command = ["pgbench", "-n", "-M", "prepared", "-c", "1", "-t", str(count + 10), "-l", "--log-prefix", Path(folder) / "log"]
            subprocess.run([*command, "-f", file, self.database], check=True, capture_output=True, timeout=300)
            lines = next(Path(folder).glob("log.[0-9]*")).read_text().splitlines()
        return [int(line.split()[2]) / 1e6 for line in lines[10:]]


def publications(count):
    """Seconds from PUBLISH to a subscriber, and nothing else."""
    where = urllib.parse.urlparse(REDIS)
    address = (where.hostname, where.port)
    with socket.create_connection(address) as subscriber, socket.create_connection(address) as publisher:
        subscriber.sendall(b"SUBSCRIBE bench\r\n")
        subscriber.recv(4096)
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            publisher.sendall(b"PUBLISH bench " + b"x" * 160 + b"\r\n")
            subscriber.recv(4096)
            seconds.append(time.perf_counter() - began)
            publisher.recv(4096)
    return seconds


# --- activity ---


def seeded(database, count):
    """People with two sessions each, and a token of each first session."""
    with node(database) as service:
        example = service.sign_up()["accessToken"]
    people, folder = people_of(count), Path(os.environ["BENCH_DIR"])
    for table, rows in (("users", user_rows), ("sessions", session_rows)):
        found = csv.DictReader(psql(database, f"COPY (SELECT * FROM {table} LIMIT 1) TO STDOUT CSV HEADER").splitlines())
        sample = written(next(found))
        with open(folder / f"{table}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, sample.keys())
            writer.writerows(rows(sample, people))
        psql(database, f"\\copy {table} ({', '.join(sample)}) FROM '{folder / table}.csv' CSV")
    psql(database, "VACUUM ANALYZE")
    make = token_maker(example)
    return [make(*person[:3]) for person in people]


def cpu_of_postgres():
    """User and system time of the server's processes, including those that have ended."""
    parent, total = os.environ["TEST_POSTGRES_PID"], 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        own = stat.parent.name == parent
        if own or fields[1] == parent:
            total += sum(map(int, fields[11 : 15 if own else 13]))
    return total / TICKS


def heartbeats(options):
    """The load of 100,000 sessions that report activity every 30 s, and then as fast as possible."""
    database, count = new_database(), options.active
    tokens = seeded(database, count)
    settings = {"MAX_RESIDENT_USERS": 2 * count, "ACTIVITY_FLUSH_SECONDS": 2, "SESSION_TIMEOUT_MINUTES": 600}
    with node(database, **settings) as service:
        visit_all(service, tokens)
        quiet = counters(service, database), time.monotonic()
        time.sleep(5)
        idle = (counters(service, database)[0] - quiet[0][0]) / (time.monotonic() - quiet[1])
        for name, run in (("every 30 s", paced), ("as fast as wrk asks", flat_out)):
            before, began = counters(service, database), time.monotonic()
            sent = run(service, tokens)
            after, took = counters(service, database), time.monotonic() - began
            statements, rows, batches, cpu, wal = (now - then for now, then in zip(after, before))
            yield f"Activity of {count:,} sessions, {name}", "one statement a 5,000 rows or fewer; PostgreSQL ≤ 0.5 core", (
                f"{sent / took:,.0f} reports/s: {rows / took:,.0f} rows/s in {batches / took:.1f} batches/s, "
                f"{statements / took:.1f} statements/s ({idle:.1f} of them in quiet too); "
                f"PostgreSQL {cpu / took:.2f} core, {wal / rows:.0f} B of WAL a row"
            )


def counters(service, database):
    names = ("auth_database_statements_total", "auth_activity_flush_batch_size_sum", "auth_activity_flush_batch_size_count")
    wal = psql(database, "COPY (SELECT pg_current_wal_insert_lsn() - '0/0') TO STDOUT")
    return [*(service.metric(name) for name in names), cpu_of_postgres(), int(wal)]


def paced(service, tokens, seconds=30, parts=300):
    """Each session once, spread evenly."""
    share = -(-len(tokens) // parts)
    began = time.monotonic()
    for number in range(parts):
        visit(service.port, tokens[number * share : (number + 1) * share], "POST", "/activity")
        time.sleep(max(0, began + (number + 1) * seconds / parts - time.monotonic()))
    return len(tokens)


def flat_out(service, tokens):
    return drive(service, "/activity", tokens, method="POST", seconds=20).requests


# --- the same in Express ---


class Express(Process):
    """One process of the Express service, on the service's database."""

    def __init__(self, database, secret):
        port, folder = free_port(), ROOT / "benches/compare/express"
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=300)
        settings = {"PORT": str(port), "DATABASE_URL": database, "JWT_ACCESS_SECRET": secret, "NODE_ENV": "production"}
        super().__init__(["node", folder / "server.mjs"], port, {**os.environ, **settings}, "/health")


def express(options):
    """The same two requests to an Express service with plain `pg`, on the same database; PostgreSQL's own work not counted."""
    database = new_database()
    with node(database) as service, Express(database, SECRET) as peer:
        tokens = [service.sign_up(f"bench{number}")["accessToken"] for number in range(100)]
        for path, method in (("/session", "GET"), ("/activity", "POST")):
            runs = {server: [] for server in (service, peer)}
            for _ in range(3):
                for server, found in runs.items():
                    found.append(drive(server, path, tokens, method=method, seconds=5).cpu_us)
            ours, theirs = (statistics.median(found) for found in runs.values())
            yield f"`{method} {path}`: Express's CPU per request ÷ ours", "≥ 20", (
                f"{theirs / ours:.1f} ({theirs:.0f} µs ÷ {ours:.1f} µs)"
            )
