"""How many connections to PostgreSQL a node should have, and how the embedded database compares: refreshes by many
clients at once, each a commit.
"""

import statistics
from contextlib import ExitStack

from load import drive_refreshes
from service import Service
from shared import cpu_of_postgres, new_database, node

SIZES = (2, 4, 8, 16, 32, 64)
SESSIONS, CLIENTS, ROUNDS, SECONDS = 200, 64, 5, 4


class Sized:
    """A node with that many connections, on a database of its own; without a number the embedded one."""

    def __init__(self, size):
        self.size, self.found = size, []
        self.service = node(new_database(), DATABASE_MAX_CONNECTIONS=size) if size else Service(BCRYPT_COST=4)
        self.names = [f"bench{number}" for number in range(SESSIONS)]
        for name in self.names:
            self.service.sign_up(name)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.service.__exit__(*problem)

    def login(self, name):
        account = {"email": f"{name}@example.com", "password": "correct horse battery", "refreshTokenDelivery": "body"}
        return self.service.post("/login", account)["refreshToken"]

    def round(self):
        # New sessions: those of the previous round have lost the answers that were in flight when it
        # ended.
        tokens = [self.login(name) for name in self.names]
        before = cpu_of_postgres()
        run = drive_refreshes(self.service, tokens, seconds=SECONDS, connections=CLIENTS)
        in_postgres = (cpu_of_postgres() - before) / run.requests * 1e6
        self.found.append((run.per_second, run.p50_ms, run.p99_ms, run.cpu_us, in_postgres))


def pool(options):
    """In turn, several times: a machine's speed changes within minutes."""
    with ExitStack() as stack:
        sized = [stack.enter_context(Sized(size)) for size in (None, *SIZES)]
        for _ in range(ROUNDS):
            for each in sized:
                each.round()
    for each in sized:
        rate, p50, p99, ours, theirs = (statistics.median(column) for column in zip(*each.found))
        where = f"`DATABASE_MAX_CONNECTIONS={each.size}`" if each.size else "SQLite"
        cpu = f"node {ours:.0f} µs, PostgreSQL {theirs:.0f} µs" if each.size else f"{ours:.0f} µs"
        yield f"{CLIENTS} clients that refresh, {where}", "", (
            f"{rate:,.0f} a second, p50 {p50:.1f} ms, p99 {p99:.1f} ms; CPU a refresh: {cpu}"
        )
