"""How long a page of each of the operators' lists takes with a million accounts and half a million live sessions."""

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from service import PROGRAM
from shared import new_database, node

ASKED = 200
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


def prepare(database, environment):
    """Fills the database, and returns an API key."""

    def run(*words):
        return subprocess.run([PROGRAM, *words], env=environment, check=True, capture_output=True, text=True).stdout

    run("migrate")
    seed = Path(__file__).with_name("admin.sql")
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", seed, database], check=True)
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
