"""Prints each event of the auth service once, as one line of JSON, a user's events in their order.

An event is acknowledged after it was printed, so none is lost, whenever this program is killed. If it is
killed between the two, it prints that one event again after a restart: a consumer that cannot tolerate this
writes its result and the event's id in one transaction of its own database. Only one process at a time reads
for a group: two would share the events, and a user's events could overtake each other.
"""

import json
import os
import signal
import sys
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

STREAM = "auth:events"
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
# These identify the reader: a group gets each event once. A consumer that returns under the same name
# continues with what it had.
GROUP = os.environ.get("GROUP", "example")
CONSUMER = os.environ.get("CONSUMER", "one")
# How long another consumer may leave a message unacknowledged before this one claims it.
CLAIM_IDLE_MS = int(os.environ.get("CLAIM_IDLE_MS", "30000"))
BATCH = 100
WAIT_MS = 1000
# Longer than the auth service might take to send an event again, which it does if it could not see that
# Redis has it.
REMEMBER_SECONDS = 24 * 3600


class Consumer:
    """One connection to Redis."""

    def __init__(self, line):
        self.redis = line

    def run(self):
        self.make_group()
        self.take_over()
        # What was delivered to this name and not acknowledged comes before anything new.
        while self.read("0") and not stopping:
            pass
        while not stopping:
            self.take_over()
            self.read(">")

    def make_group(self):
        """Begins at the start of the stream, so that a new group gets everything that is still there."""
        try:
            self.redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def read(self, first):
        """Returns whether there was anything."""
        found = self.redis.xreadgroup(GROUP, CONSUMER, {STREAM: first}, count=BATCH, block=WAIT_MS)
        # A list with RESP2, a mapping with RESP3.
        streams = dict(found or [])
        entries = streams.get(STREAM, [])
        for entry, fields in entries:
            self.handle(entry, fields)
        return bool(entries)

    def take_over(self):
        start = None
        while start != "0-0":
            start, entries, deleted = self.redis.xautoclaim(
                STREAM, GROUP, CONSUMER, CLAIM_IDLE_MS, start_id=start or "0-0", count=BATCH
            )
            # Delivered, never acknowledged, and meanwhile trimmed. What they reported has to be queried
            # instead.
            for entry in deleted:
                complain(f"lost: {entry}")
            for entry, fields in entries:
                self.handle(entry, fields)

    def handle(self, entry, fields):
        # What is left of a batch when it is time to stop will be delivered to this name again.
        if stopping:
            return
        handled = f"{GROUP}:handled:{json.loads(fields['data'])['eventId']}"
        if not self.redis.exists(handled):
            print(fields["data"], flush=True)
        with self.redis.pipeline(transaction=True) as both:
            both.set(handled, "", ex=REMEMBER_SECONDS).xack(STREAM, GROUP, entry).execute()


def complain(text):
    print(text, file=sys.stderr, flush=True)


def stop(*_):
    global stopping
    stopping = True


stopping = False
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)

while not stopping:
    # A broken connection is replaced and no command is repeated: what it requested may have been
    # delivered already, and is among what is read first on the next connection.
    connection = redis.Redis.from_url(
        REDIS_URL, decode_responses=True, socket_timeout=3 * WAIT_MS / 1000, retry=Retry(NoBackoff(), 0)
    )
    try:
        Consumer(connection).run()
    except redis.RedisError as error:
        complain(f"starting over: {error}")
        time.sleep(0.5)
    finally:
        connection.close()
