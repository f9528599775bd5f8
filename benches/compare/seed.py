"""Users with two sessions each, written straight into an embedded database: a million sign-ups would take hours of bcrypt."""

import sqlite3
import time
import uuid

from service import USER_AGENT


def seed(folder, example, count):
    """Writes them beside the one who signed up; yields (user, session, stk) of the first session of each."""
    database = sqlite3.connect(next(folder.glob("*.db")))
    database.row_factory = sqlite3.Row
    user = dict(database.execute("SELECT * FROM users LIMIT 1").fetchone())
    session = dict(database.execute("SELECT * FROM sessions LIMIT 1").fetchone())
    now = int(time.time() * 1000)
    made = []

    def users():
        for number in range(count):
            ids = [uuid.uuid4() for _ in range(5)]
            made.append(ids)
            yield {**user, "id": like(user["id"], ids[0]), "email": f"seed{number}@example.com"}

    def sessions():
        for owner, first, first_token, second, second_token in made:
            for name, token in ((first, first_token), (second, second_token)):
                yield {
                    **session,
                    "user_id": like(session["user_id"], owner),
                    "id": like(session["id"], name),
                    "token": like(session["token"], token),
                    "user_agent": USER_AGENT,
                    "last_activity": now,
                }

    with database:
        insert(database, "users", user, users())
        insert(database, "sessions", session, sessions())
    database.close()
    return [(ids[0], ids[1], ids[2]) for ids in made]


def like(sample, value):
    """A UUID in the form the database keeps them in."""
    return value.bytes if isinstance(sample, bytes) else str(value)


def insert(database, table, columns, rows):
    names = ", ".join(columns)
    places = ", ".join(f":{name}" for name in columns)
    database.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)
