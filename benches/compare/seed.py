"""Users with two sessions each, written straight into an embedded database: a million sign-ups would take hours of bcrypt."""

import sqlite3
import time
import uuid


# The forms of most browsers' User-Agents; {} is the version. With versions there are some hundred, as
# among real users.
DEVICES = [
    ("Chrome", "Windows 10", "desktop", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"),
    ("Edge", "Windows 10", "desktop", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.0.0 Safari/537.36 Edg/{0}.0.0.0"),
    ("Chrome", "Mac OSX", "desktop", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"),
    ("Firefox", "Linux", "desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"),
    ("Chrome", "Android", "mobile", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36"),
    ("Safari", "iPhone", "mobile", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"),
]
VERSIONS = range(60, 160)


def seed(folder, example, count):
    """Adds them to an embedded database with one user; yields (user, session, stk) of each first session."""
    database = sqlite3.connect(next(folder.glob("*.db")))
    database.row_factory = sqlite3.Row
    people = people_of(count)
    with database:
        for table, rows in (("users", user_rows), ("sessions", session_rows)):
            sample = written(dict(database.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()))
            insert(database, table, sample, rows(sample, people))
    database.close()
    return [person[:3] for person in people]


def written(row):
    """Without what the database derives itself."""
    return {name: value for name, value in row.items() if name != "activity_period"}


def people_of(count):
    """Ids: of the user, then of two sessions, each with its token."""
    return [[uuid.uuid4() for _ in range(5)] for _ in range(count)]


def user_rows(sample, people):
    """Like the sample, except for what must differ."""
    for number, ids in enumerate(people):
        yield {**sample, "id": like(sample["id"], ids[0]), "email": f"seed{number}@example.com"}


def session_rows(sample, people):
    now = int(time.time() * 1000)
    kinds = [device(*form, version) for version in VERSIONS for form in DEVICES]
    for number, (owner, first, first_token, second, second_token) in enumerate(people):
        for of_user, (name, token) in enumerate(((first, first_token), (second, second_token))):
            yield {
                **sample,
                **kinds[(number * 7 + of_user * 11) % len(kinds)],
                "user_id": like(sample["user_id"], owner),
                "id": like(sample["id"], name),
                "token": like(sample["token"], token),
                "last_activity": now,
            }


def device(browser, system, sort, user_agent, version):
    return {
        "device_name": f"{browser} on {system}",
        "browser": browser,
        "os": system,
        "device_type": sort,
        "user_agent": user_agent.format(version),
    }


def like(sample, value):
    """A UUID in the form in which the database stores them."""
    return value.bytes if isinstance(sample, bytes) else str(value)


def insert(database, table, columns, rows):
    names = ", ".join(columns)
    places = ", ".join(f":{name}" for name in columns)
    database.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)
