"""Slow and idle clients cost little: they are ended in time, and nobody else notices them. Runs last: it waits."""

import time

import pytest
import slow
from wire import Connection, ask, request, resident

# A head or a body that has not come by then is not waited for.
CLIENT_TIMEOUT = 10
# What ending a connection may take beyond that, on a busy machine.
SLACK = 4
IDLE = 2_000
# Bytes of memory that an idle connection may cost: buffers for reading and writing, and what the system needs.
PER_CONNECTION = 64 * 1024
PROBE = request("GET", "/health")


def times(count=50):
    """How long that many questions after its health took, each in seconds, from the shortest to the longest."""
    taken = []
    with Connection() as connection:
        for _ in range(count):
            started = time.monotonic()
            connection.send(PROBE)
            assert connection.answer().status == 200
            taken.append(time.monotonic() - started)
    return sorted(taken)


def test_idle_connections_cost_little_and_slow_nobody_down():
    before = resident()
    connections = []
    try:
        for number in range(IDLE):
            connections.append(Connection())
            # Half of them have asked something, and stay.
            if number % 2:
                connections[-1].send(slow.PROBE)
                assert connections[-1].answer().status == 200
        taken = times()
        assert taken[len(taken) * 9 // 10] < 0.1, taken
        assert resident() - before < IDLE * PER_CONNECTION
        # A newcomer is let in.
        assert ask("GET", "/health").status == 200
    finally:
        for connection in connections:
            connection.socket.close()


def test_slow_clients_slow_nobody_down():
    # Of its own: those of the session may have been ended by now.
    with slow.Clients() as clients:
        taken = times()
        assert any(client.lasted is None for client in clients.kinds.values()), "all are gone already"
    assert taken[len(taken) * 9 // 10] < 0.1, taken


@pytest.mark.parametrize("kind", slow.KINDS)
def test_a_slow_client_is_ended_in_time(slow_clients, kind):
    client = slow_clients.wait(kind, CLIENT_TIMEOUT + SLACK)
    assert client.lasted is not None, f"still connected after {CLIENT_TIMEOUT + SLACK} s"
    answer = client.answer()
    assert answer is None or 400 <= answer.status < 500, answer
