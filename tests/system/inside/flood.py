# SPDX-License-Identifier: MIT
"""Thousands of connections of one user, and how others are served meanwhile: for porterd in a booted system, and for one
that a test has started (tests/integration/quotas.t)."""

import os
import select
import signal
import socket
import time

FLOOD = 10000
ROUNDS = 5


class Flood:
    """Connections of a user to an echo, held by a process of its own, which sends a byte a second on each, or nothing.
    `kept` says how many were not refused."""

    def __init__(self, path, uid, sends, seconds, count=FLOOD):
        kept, say_kept = os.pipe()
        held, self.hold = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            status = 1
            try:
                os.close(kept)
                os.close(self.hold)
                os.setresuid(uid, uid, uid)
                self.run(path, sends, seconds, count, say_kept, held)
                status = 0
            finally:
                os._exit(status)
        os.close(say_kept)
        os.close(held)
        with os.fdopen(kept) as pipe:
            self.kept = int(pipe.read() or "-1")

    @staticmethod
    def run(path, sends, seconds, count, say_kept, held):
        clients = [socket.socket(socket.AF_UNIX) for _ in range(count)]
        # Blocking: with a timeout, a full queue would be an error. The end comes if nobody takes them.
        signal.alarm(seconds)
        for client in clients:
            client.connect(path)
        # Whoever is refused is told so by the end. They are taken in their order: when this is known of the last one,
        # it is of all.
        try:
            clients[-1].send(b"x")
            clients[-1].recv(1)
        except (BrokenPipeError, ConnectionResetError):
            pass
        signal.alarm(0)
        poll = select.poll()
        for client in clients:
            client.setblocking(False)
            poll.register(client, 0)
        ended = {fd for fd, _ in poll.poll(0)}
        clients = [client for client in clients if client.fileno() not in ended]
        os.write(say_kept, str(len(clients)).encode())
        os.close(say_kept)
        while not select.select([held], [], [], 0 if sends else None)[0]:
            for client in clients:
                client.send(b"x")
                time.sleep(0.9 / len(clients))
                try:
                    client.recv(16)
                except BlockingIOError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.hold)
        ended = os.waitpid(self.child, 0)[1]
        if ended != 0:
            raise AssertionError(f"the flood ended with {ended}")


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def exchange(client):
    left = 64
    client.sendall(b"x" * left)
    while left > 0:
        got = client.recv(left)
        if not got:
            raise AssertionError("the echo ended")
        left -= len(got)


def p99(connect, exchanges):
    """99th percentiles of how long an echo takes to a client who stays, and to one who comes for it."""
    def come_and_go():
        with connect() as client:
            exchange(client)
    stays, comes = [], []
    with connect() as client:
        for number in range(exchanges):
            stays.append(timed(lambda: exchange(client)))
            if number % 4 == 0:
                comes.append(timed(come_and_go))
    return [sorted(times)[len(times) * 99 // 100] for times in (stays, comes)]


def in_floods(make_flood, measure, is_over):
    """Floods until others are served in at most twice the time in one of them: the machine does other things as well, but
    a flood that gets through is felt in every round. Returns how many there were, and how many connections each had."""
    measure()
    worst, kept = [], set()
    for _ in range(ROUNDS):
        before = measure()
        with make_flood() as flood:
            kept.add(flood.kept)
            during = measure()
        is_over()
        print("# p99 of who stays and who comes: {:.0f} and {:.0f} us, in the flood {:.0f} and {:.0f} us".format(
            *(1e6 * seconds for seconds in before + during)), flush=True)
        worst.append(max(now / then for now, then in zip(during, before)))
        if worst[-1] <= 2:
            return len(worst), kept
    raise AssertionError(f"p99 grew {min(worst):.1f} times")
