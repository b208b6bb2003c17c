#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients that keep porterd waiting, and how long they may."""

from harness import *

CALL = b'{"method":"io.porterd.Credentials.Check"}\0'
# What is late is looked for once a second.
TICK = 1.1


def configured(lines, **options):
    return Configured({"porterd.conf": "[Server]\n" + lines}, **options)


def is_closed(client):
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


def closed_after(client, meanwhile=lambda: None):
    """The seconds until porterd closes the connection."""
    begin = time.monotonic()

    def closed():
        meanwhile()
        return is_closed(client)
    eventually(closed, "the connection is closed")
    return time.monotonic() - begin


def between(seconds, low, high):
    """A busy machine may take longer, but never less."""
    print(f"# closed after {seconds:.1f} s", flush=True)
    if not low <= seconds <= high + PATIENCE / 4:
        raise AssertionError(f"closed after {seconds:.1f} s instead of {low} to {high}")


def trickle(client):
    """A byte now and then is no whole message."""
    time.sleep(0.1)
    try:
        client.send(b" ")
    except (BrokenPipeError, ConnectionResetError):
        pass


@test
def half_a_message_is_waited_for_so_long():
    with configured("MessageTimeoutSec=1\n", name="varlink") as program, program.connect() as idle, \
            program.connect() as late, program.connect() as slow, program.connect() as later:
        equal("parameters" in Varlink(idle).call("io.porterd.Credentials.Check"), True)
        late.sendall(CALL[:10])
        slow.sendall(CALL + CALL[:1])
        equal("parameters" in Varlink(slow).receive(), True, "what came before half a message")
        between(closed_after(late, lambda: trickle(slow)), 0.9, 1 + TICK)
        later.sendall(CALL[:10])
        between(closed_after(slow, lambda: trickle(slow)), 0, 1 + TICK)
        between(closed_after(later), 0.3, 1 + TICK)
        equal("parameters" in Varlink(idle).call("io.porterd.Credentials.Check"), True, "who said nothing")


@test
def a_message_that_comes_in_time_may_come_in_pieces():
    with configured("MessageTimeoutSec=2\n", name="varlink") as program, program.connect() as client:
        # For four seconds there is always half a message on its way, but never the same.
        client.sendall(CALL[:10])
        for _ in range(8):
            time.sleep(0.5)
            client.sendall(CALL[10:] + CALL[:10])
            equal("parameters" in Varlink(client).receive(), True)


def who_does_not_read(kind, name, piece):
    with configured("ReadTimeoutSec=2\n", kind=kind, name=name) as program, program.connect() as lazy, \
            program.connect() as idle:
        program.wake()
        equal(fill(lazy, piece), True)
        between(closed_after(lazy), 1.5, 4 + 2 * TICK)
        equal(is_closed(idle), False, "who has nothing to read")


@test
def who_does_not_read_a_stream_is_closed():
    who_does_not_read(STREAM, "echo", b"x" * 65536)


@test
def who_does_not_read_packets_is_closed():
    who_does_not_read(SEQPACKET, "echo", b"x" * 10000)


@test
def who_does_not_read_replies_is_closed():
    who_does_not_read(STREAM, "varlink", CALL * 100)


@test
def who_does_not_read_a_process_of_their_own_is_closed():
    with configured("ReadTimeoutSec=1\n", accept=True) as program, program.connect() as lazy:
        equal(fill(lazy, b"x" * 65536), True)
        # A send that was under way before the last one has its own time.
        between(closed_after(lazy), 0.5, 2.5)


def reads_slowly(accept=False):
    with configured("ReadTimeoutSec=2\n", accept=accept) as program, program.connect() as slow:
        if not accept:
            program.wake()
        equal(fill(slow, b"x" * 65536), True)
        end = time.monotonic() + 7
        while time.monotonic() < end:
            # Far less than what makes the kernel tell porterd of room.
            slow.recv(40000)
            try:
                slow.send(b"x" * 40000)
            except BlockingIOError:
                pass
            time.sleep(0.5)
            equal(is_closed(slow), False, "a slow reader is closed")


@test
def who_reads_slowly_is_served():
    reads_slowly()


@test
def who_reads_slowly_from_a_process_of_their_own_is_served():
    reads_slowly(accept=True)


@test
def who_reads_at_last_is_served_again():
    with configured("ReadTimeoutSec=2\n") as program, program.connect() as client:
        program.wake()
        for _ in range(3):
            equal(fill(client, b"x" * 65536), True)
            while select.select([client], [], [], 0.3)[0]:
                client.recv(1 << 20)
        time.sleep(4 + 2 * TICK)
        client.settimeout(PATIENCE)
        client.sendall(b"hello")
        equal(receive_exactly(client, 5), b"hello")


main()
