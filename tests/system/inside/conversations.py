"""Many conversations with echo at once, each of which knows what has to come back."""

import collections
import os
import random
import selectors
import socket
import threading

import client

ECHO = "/run/porterd/echo"
# Of a prime length, so that no offset looks like its neighbours.
PATTERN = os.urandom(99991)
STREAM_AHEAD = 400_000
PACKETS_AHEAD = 8
RECEIVE = 65536


def pattern(offset, size):
    start = offset % len(PATTERN)
    return (PATTERN * (2 + size // len(PATTERN)))[start:start + size]


class Stream:
    """Sends pieces of all sizes; a slow one reads so seldom that porterd has to keep what it sends."""

    def __init__(self, slow):
        self.socket = client.connect(ECHO)
        self.socket.setblocking(False)
        self.slow = slow
        self.sent = self.received = random.randrange(len(PATTERN))

    def outstanding(self):
        return self.sent - self.received

    def send(self):
        while self.outstanding() < STREAM_AHEAD:
            try:
                self.sent += self.socket.send(pattern(self.sent, random.choice((1, 64, 5000, 60000))))
            except BlockingIOError:
                return

    def receive(self):
        data = self.socket.recv(RECEIVE)
        if not data:
            raise AssertionError("a stream was closed")
        if data != pattern(self.received, len(data)):
            raise AssertionError(f"a stream went wrong after {self.received} bytes")
        self.received += len(data)


class Packets:
    """Numbered packets, empty ones among them."""

    def __init__(self, slow):
        self.socket = client.connect(f"{ECHO}.seqpacket", socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.slow = slow
        self.number = 0
        self.expected = collections.deque()

    def outstanding(self):
        return len(self.expected)

    def send(self):
        while len(self.expected) < PACKETS_AHEAD:
            packet = (str(self.number).encode() + bytes(random.choice((1, 500, 20000)))
                      if self.number % 5 else b"")
            try:
                self.socket.send(packet)
            except BlockingIOError:
                return
            self.expected.append(packet)
            self.number += 1

    def receive(self):
        data = self.socket.recv(RECEIVE)
        if not self.expected:
            raise AssertionError(f"a packet too many, or an end: {data[:10]!r}")
        if data != self.expected.popleft():
            raise AssertionError(f"another packet was due than {data[:10]!r}")


class Conversations(threading.Thread):
    """All of them in one thread, until finish()."""

    def __init__(self, streams, packets):
        super().__init__(daemon=True)
        self.all = ([Stream(slow=i % 4 == 0) for i in range(streams)] +
                    [Packets(slow=i % 4 == 0) for i in range(packets)])
        self.finishing = False
        self.rounds = 0
        self.error = None
        self.start()

    def run(self):
        try:
            self.converse()
        except (AssertionError, OSError) as error:
            self.error = error

    def converse(self):
        selector = selectors.DefaultSelector()
        for one in self.all:
            selector.register(one.socket, selectors.EVENT_READ, one)
        while not self.finishing or any(one.outstanding() for one in self.all):
            for key, _ in selector.select(0.05):
                if self.finishing or not key.data.slow or random.random() < 0.02:
                    key.data.receive()
            if not self.finishing:
                for one in random.sample(self.all, len(self.all) // 4):
                    one.send()
            self.rounds += 1

    def finish(self, seconds=60):
        """Receives what is due, and looks whether anything more comes."""
        self.finishing = True
        self.join(seconds)
        if self.error:
            raise self.error
        if self.is_alive():
            due = [one.outstanding() for one in self.all if one.outstanding()]
            raise AssertionError(f"{len(due)} of {len(self.all)} wait for what was theirs: {due[:10]}")
        for one in self.all:
            try:
                raise AssertionError(f"after the last: {one.socket.recv(10)!r}")
            except BlockingIOError:
                one.socket.close()
