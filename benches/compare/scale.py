"""What a change costs a node and PostgreSQL, and whether one node's costs add up on three (docs/scaling.md)."""

import http.client
import json
import statistics
import time
from contextlib import ExitStack
from functools import partial

from load import at_once, drive, drive_mixed, visit_all
from service import USER_AGENT
from shared import cpu_of_postgres, new_database, node, psql, seeded

CLIENTS = 8
# Connections to each node under the mix: the fewer there are, the more a request costs, as fewer are
# answered per wake-up.
CHECKERS, REPORTERS = 12, 4
PASSWORD = "correct horse battery"
# One request in so many changes something.
CHANGING = 10
# Of each node: people who refresh, more than connections, so that each waits for its answer.
REFRESHERS = 40


class Client:
    """A person on a persistent connection."""

    def __init__(self, service, name):
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        self.account = {"email": f"{name}@example.com", "password": PASSWORD, "refreshTokenDelivery": "body"}
        self.now = self.post("/signup", {**self.account, "name": name})

    def post(self, path, body, token=None):
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{path}: {answer.status} {text.decode()}")
        return json.loads(text) if text else None

    def login(self):
        self.now = self.post("/login", self.account)

    def refresh(self):
        self.now = {**self.now, **self.post("/refresh", {"refreshToken": self.now["refreshToken"]})}

    def logout(self):
        self.post("/logout", {}, self.now["accessToken"])
        # The cost of this login is subtracted later.
        self.login()


def spent(services, work):
    """CPU seconds of the nodes and of PostgreSQL for that work, beyond what they spend when idle."""

    def now():
        return sum(service.cpu_seconds() for service in services), cpu_of_postgres(), time.monotonic()

    def difference(later, earlier):
        return [one - other for one, other in zip(later, earlier)]

    before = now()
    time.sleep(3)
    quiet = difference(now(), before)
    before = now()
    work()
    # What still has to be published and written belongs to the work.
    time.sleep(2)
    found = difference(now(), before)
    return [found[index] - quiet[index] / quiet[2] * found[2] for index in (0, 1)]


def published_a_second(service, database, count=50_000):
    """How fast one node, which has every lane, empties an outbox, to channel and stream."""
    psql(
        database,
        "INSERT INTO outbox (user_id, channel, payload, created_at) SELECT gen_random_uuid(), 'auth:session.created', "
        f"repeat('x', 400), 0 FROM generate_series(1, {count})",
    )

    def left():
        return int(psql(database, "COPY (SELECT count(*) FROM outbox) TO STDOUT"))

    while (begun := left()) == count:
        time.sleep(0.01)
    began = time.monotonic()
    while left() > 0:
        time.sleep(0.05)
    return begun / (time.monotonic() - began)


def together(clients, what, times):
    def repeat(client):
        for _ in range(times):
            getattr(client, what)()

    at_once([partial(repeat, client) for client in clients])


def scale(options):
    """Unit costs of changes, and three nodes under a mix of everything, next to the sum of the unit costs."""
    units = {}
    database = new_database()
    with node(database) as service:
        clients = [Client(service, f"bench{number}") for number in range(CLIENTS)]
        together(clients, "login", 10)
        for what in ("login", "refresh", "logout"):
            hashing = service.hashing_seconds()
            cost = spent([service], lambda: together(clients, what, options.changes // CLIENTS))
            cost[0] -= service.hashing_seconds() - hashing
            units[what] = [one / (options.changes // CLIENTS * CLIENTS) for one in cost]
        published = published_a_second(service, database)
        # Each logout was followed by a login.
        units["logout"] = [both - login for both, login in zip(units["logout"], units["login"])]
    for what, (ours, theirs) in units.items():
        beside = ", the password left out" if what == "login" else ""
        yield f"CPU of a {what}{beside}", "", f"node {ours * 1e6:.0f} µs, PostgreSQL {theirs * 1e6:.0f} µs"
    yield "Events a second by one node with every lane", "", f"{published:,.0f}"
    yield from spread()
    database, count, seconds = new_database(), 10_000, 15
    tokens = seeded(database, count)
    settings = {"SESSION_TIMEOUT_MINUTES": 600, "ACTIVITY_FLUSH_SECONDS": 2}
    # With many processes on few cores a poll of the feed may take a second: this measures the cost of work, not latency.
    settings["REVOCATION_MAX_STALENESS_MS"] = 10_000
    with node(database, **settings) as one, node(database, **settings) as two, node(database, **settings) as three:
        nodes = (one, two, three)
        for each in nodes:
            visit_all(each, tokens)
        check = of_one_request(one, "/session", "GET", tokens, CHECKERS)
        report = of_one_request(one, "/activity", "POST", tokens, REPORTERS)
        done = {"checks": 0, "reports": 0, "refreshes": 0}
        clients = [Client(each, f"bench{number}") for number, each in enumerate(nodes)]
        costs = spent(nodes, lambda: mix(nodes, clients, tokens, seconds, done))
    reckoned = done["checks"] * check + done["reports"] * report + done["refreshes"] * units["refresh"][0]
    yield "Three nodes under a mix: their CPU ÷ what the units come to", "about 1", (
        f"{costs[0] / reckoned:.2f} ({done['checks']:,} checks, {done['reports']:,} reports, {done['refreshes']:,} refreshes: "
        f"{costs[0]:.1f} s ÷ {reckoned:.1f} s; PostgreSQL {costs[1]:.1f} s)"
    )


class Nodes:
    """Three nodes, on one database or each on its own, with people who refresh on each. Any may be asked about any user of its database."""

    def __init__(self, stack, databases):
        # Each round begins with another session of those who refresh.
        settings = {"SESSION_TIMEOUT_MINUTES": 600, "REVOCATION_MAX_STALENESS_MS": 10_000, "MAX_SESSIONS_PER_USER": 100}
        tokens = {database: seeded(database, 5_000) for database in set(databases)}
        self.nodes = [stack.enter_context(node(database, **settings)) for database in databases]
        self.people = [[Client(each, f"spread{place}-{number}") for number in range(REFRESHERS)] for place, each in enumerate(self.nodes)]
        self.access = [list(tokens[database]) for database in databases]
        for place, database in enumerate(databases):
            of_database = [people for people, other in zip(self.people, databases) if other == database]
            self.access[place] += [client.now["accessToken"] for people in of_database for client in people]
            visit_all(self.nodes[place], self.access[place])

    def round(self, count):
        """CPU of the nodes and of PostgreSQL a request, in µs."""
        for people in self.people[:count]:
            # Answers that were in flight when the last round ended are lost.
            at_once([client.login for client in people])
        nodes, runs = self.nodes[:count], []

        def load(place):
            refreshing = [client.now["refreshToken"] for client in self.people[place]]
            mix = {"every": CHANGING, "first": place, "seconds": 4, "connections": REFRESHERS // 2}
            runs.append(drive_mixed(nodes[place], refreshing, self.access[place], **mix))

        before = sum(each.cpu_seconds() for each in nodes), cpu_of_postgres()
        at_once([partial(load, place) for place in range(count)])
        after = sum(each.cpu_seconds() for each in nodes), cpu_of_postgres()
        requests = sum(run.requests for run in runs)
        return [(later - earlier) / requests * 1e6 for later, earlier in zip(after, before)]


def spread(rounds=5):
    """CPU a request with one, two and three nodes: on one database, and on as many, where no node hears of another. In turn."""
    with ExitStack() as stack:
        together, apart = (Nodes(stack, databases) for databases in ([new_database()] * 3, [new_database() for _ in range(3)]))
        found = {(kind, count): [] for count in (1, 2, 3) for kind in (together, apart)}
        for _ in range(rounds):
            for (kind, count), costs in found.items():
                costs.append(kind.round(count))
    found = {key: [statistics.median(column) for column in zip(*costs)] for key, costs in found.items()}
    for count in (1, 2, 3):
        (ours, theirs), (alone, _) = found[together, count], found[apart, count]
        yield f"CPU a request, one in {CHANGING} a refresh, on {count} of three nodes ÷ on databases of their own", "≤ 1.10", (
            f"{ours / alone:.2f} ({ours:.1f} µs ÷ {alone:.1f} µs; PostgreSQL {theirs:.1f} µs)"
        )


def of_one_request(service, path, method, tokens, connections):
    runs, load = [], {"method": method, "seconds": 5, "connections": connections}
    cost, _ = spent([service], lambda: runs.append(drive(service, path, tokens, **load)))
    return cost / runs[0].requests


def mix(nodes, clients, tokens, seconds, done):
    """Checks and reports on every node at the same time, together with refreshes."""

    def load(service, path, method, kind, connections):
        run = drive(service, path, tokens, method=method, seconds=seconds, connections=connections)
        done[kind] += run.requests

    def refresh(client):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            client.refresh()
            done["refreshes"] += 1
            time.sleep(0.02)

    work = [partial(load, each, "/session", "GET", "checks", CHECKERS) for each in nodes]
    work += [partial(load, each, "/activity", "POST", "reports", REPORTERS) for each in nodes]
    at_once(work + [partial(refresh, client) for client in clients])
