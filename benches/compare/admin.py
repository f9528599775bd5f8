"""What operators cost with a million accounts and half a million live sessions: pages of each list, and the live view."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from service import PROGRAM
from shared import cpu_of_postgres, new_database, node

ACCOUNTS = 1_000_000
ASKED = 200
WATCHERS = 10
# Seconds that the live view is measured for, and after which a node has noticed that nobody watches.
WATCHED, FORGOTTEN = 60, 15
SCOPES = ("users:read", "sessions:read")
LISTS = {
    "accounts": "/admin/users?",
    "address": "/admin/users?email=ada.00000000@example.com",
    "beginning that few have": "/admin/users?email=ada.0a*",
    "beginning that many have": "/admin/users?email=ada*",
    "beginning that only the oldest have": "/admin/users?email=legacy*",
    "beginning that nobody has": "/admin/users?email=nobody*",
    "ADMIN": "/admin/users?role=ADMIN",
    "STARTER": "/admin/users?role=STARTER",
    "disabled": "/admin/users?status=disabled",
    "unverified": "/admin/users?status=unverified",
    "active": "/admin/users?status=active",
    "disabled PRO, which nobody is": "/admin/users?role=PRO&status=disabled",
    "PRO whose address begins so, which nobody is": "/admin/users?role=PRO&email=ben*",
    "sessions": "/admin/sessions?",
}


def admin(options):
    database = new_database()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "APP_ENV": "test", "DATABASE_URL": database, "DATA_DIR": folder}
        key = prepare(database, environment)
    with node(database) as service:
        for name, path in LISTS.items():
            times = list(pages(service, key, path))
            p99 = statistics.quantiles(times, n=100)[98]
            yield f"a page of {name}, p99", "≤ 50 ms", f"{p99:.1f} ms (p50 {statistics.median(times):.1f} ms)"
        yield from live_view(service, key)


def live_view(service, key):
    """CPU time, of service and PostgreSQL, with watchers and without."""
    quiet = cores(service)
    with contextlib.ExitStack() as stack:
        for _ in range(WATCHERS):
            request = urllib.request.Request(service.url + "/admin/live", headers={"Authorization": f"Bearer {key}"})
            threading.Thread(target=drain, args=[stack.enter_context(urllib.request.urlopen(request))], daemon=True).start()
        watched = cores(service)
    time.sleep(FORGOTTEN)
    after = cores(service)
    yield f"the live view with {WATCHERS} watchers", "≤ 5 % of a core", (
        f"{sum(watched) - sum(quiet):.1%} (service {watched[0] - quiet[0]:.1%}, PostgreSQL {watched[1] - quiet[1]:.1%}; "
        f"both before {sum(quiet):.1%}, and when nobody watches any more {sum(after):.1%})"
    )


def drain(answer):
    with contextlib.suppress(OSError, ValueError, AttributeError):
        while answer.read1():
            pass


def cores(service):
    """Cores that the service and PostgreSQL use."""
    began, before = time.monotonic(), (service.cpu_seconds(), cpu_of_postgres())
    time.sleep(WATCHED)
    took = time.monotonic() - began
    return tuple((now - then) / took for now, then in zip((service.cpu_seconds(), cpu_of_postgres()), before))


def prepare(database, environment):
    """Fills the database, and returns an API key."""

    def run(*words):
        return subprocess.run([PROGRAM, *words], env=environment, check=True, capture_output=True, text=True).stdout

    run("migrate")
    seed = Path(__file__).with_name("admin.sql")
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"accounts={ACCOUNTS}", "-f", seed, database], check=True)
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    return re.search(r"ak_\w+", run("api-keys", "create", *scopes))[0]


def pages(service, key, path):
    """One page after the other, starting over after the last."""
    cursor = None
    for _ in range(ASKED):
        query = path + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else "")
        request = urllib.request.Request(service.url + query, headers={"Authorization": f"Bearer {key}"})
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = json.load(answer)
        yield (time.monotonic() - began) * 1000
        cursor = page["nextCursor"]
