#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors that nobody asked for, as many as a message carries, 10,000 times on every socket: none stays open, and
others are served meanwhile. Each flood ends after $FLOOD_SECONDS (0: when it is through)."""

import array
import errno
import itertools
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(__file__), "..", "..")),
                                "tests", "opener"))
import fixture  # noqa: E402
from harness import *  # noqa: E402

MESSAGES = 10000
SECONDS = float(os.environ.get("FLOOD_SECONDS", "1"))
MANY = 253
CHECK = b'{"method":"io.porterd.Credentials.Check"}'
ECHO = b"some bytes"
INT = array.array("i").itemsize


def rights(count):
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * count).tobytes()


CREDENTIALS = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), os.getuid(), os.getgid()))
# What a sender can make of control data. The kernel refuses some of it, then it does not come.
STRANGE = [
    [rights(0)],
    [rights(1)],
    [rights(100), rights(100)],
    [CREDENTIALS],
    [CREDENTIALS, rights(MANY)],
    [rights(MANY), CREDENTIALS],
    [CREDENTIALS, CREDENTIALS],
    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"\0" * (INT + 1))],
    [(socket.SOL_SOCKET, 3, b"label\0")],
    [(socket.SOL_SOCKET, 4, b"\0" * INT)],
    [(socket.SOL_SOCKET, 77, b"x")],
    [(socket.IPPROTO_IP, 1, b"x" * 64)],
]


def send_with(client, data, control):
    """False: the kernel does not let it through."""
    while True:
        try:
            client.sendmsg([data], control, socket.MSG_DONTWAIT)
            return True
        except BlockingIOError:
            time.sleep(0.001)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.EBADF, errno.ETOOMANYREFS):
                raise
            return False


def floods():
    """The control data of each message to be sent."""
    end = time.monotonic() + SECONDS
    count = 0
    for number, strange in enumerate(itertools.cycle([[rights(MANY)]] * 40 + STRANGE)):
        if number == MESSAGES or (SECONDS and time.monotonic() > end):
            break
        count += 1
        yield number, strange
    print(f"# {count} messages")


def varlink_answer(client):
    data = b""
    while not data.endswith(b"\0"):
        piece = client.recv(65536)
        if not piece:
            raise AssertionError("the connection was closed")
        data += piece
    return json.loads(data[:-1])


def packet_answer(client):
    return json.loads(client.recv(65536))


def echo_answer(client):
    return client.recv(65536)


def flood(kind, name, message, answer, **options):
    """Every message that gets through is answered, the flooder's as others'."""
    with Program(kind, name, wrapper=preload("accept_rights") + WRAPPER, **options) as program, \
            program.connect() as other, program.connect() as flooder:
        def ask(client):
            client.send(message)
            return answer(client)
        wanted = ask(other)
        equal(ask(flooder), wanted)
        equal(len(program.pids()), 2 if program.accept else 1, "processes")
        before = program.fds()
        passed = 0
        for number, control in floods():
            if send_with(flooder, message, control):
                passed += 1
                equal(answer(flooder), wanted)
            if number % 100 == 0:
                equal(ask(other), wanted)
        print(f"# {passed} came through")
        equal(passed > 0, True, "some came through")
        equal(program.fds(), before, "fds of the daemon")


@test
def varlink_stream():
    flood(STREAM, "varlink", CHECK + b"\0", varlink_answer)


@test
def echo_stream():
    flood(STREAM, "echo", ECHO, echo_answer)


@test
def echo_seqpacket():
    flood(SEQPACKET, "echo", ECHO, echo_answer)


@test
def isolated_varlink_stream():
    """Each client has a process, and the flooder leaves nothing in its own."""
    flood(STREAM, "varlink", CHECK + b"\0", varlink_answer, accept=True)


@test
def isolated_echo_stream():
    flood(STREAM, "echo", ECHO, echo_answer, accept=True)


@test
def isolated_echo_seqpacket():
    flood(SEQPACKET, "echo", ECHO, echo_answer, accept=True)


@test
def credentials_seqpacket():
    flood(SEQPACKET, "credentials", CHECK, packet_answer)


def flood_datagrams(name, message):
    """What has no room for the attestation that it should bring is lost, so not all of it is answered."""
    with Program(DATAGRAM, name, wrapper=preload("accept_rights") + WRAPPER) as program, \
            program.datagram_client("other") as other, program.datagram_client("flooder") as flooder:
        def ask(client):
            client.send(message)
            return client.recv(65536)
        other.send(b"wakes it")
        eventually(lambda: program.fds() > 5, "the daemon runs")
        wanted = ask_until(other, message)
        before = program.fds()
        flooder.setblocking(False)
        answers = 0
        for number, control in floods():
            send_with(flooder, message, control)
            answers += drain(flooder, wanted)
            if number % 100 == 0:
                equal(ask(other), wanted)
        print(f"# {answers} were answered")
        equal(ask(other), wanted)
        equal(program.fds(), before, "fds of the daemon")


def ask_until(client, message):
    """The first datagrams, which came before the daemon asked for their senders, can be lost."""
    def ask():
        client.send(message)
        return client.recv(65536)
    answer = first_answer(client, ask)
    while answer in (b"wakes it", None) or b"error" in answer:
        answer = client.recv(65536)
    return answer


def drain(client, wanted):
    count = 0
    try:
        while True:
            equal(client.recv(65536), wanted)
            count += 1
    except BlockingIOError:
        return count


@test
def echo_datagrams():
    flood_datagrams("echo", ECHO)


@test
def credentials_datagrams():
    flood_datagrams("credentials", CHECK)


@test
def the_opener():
    """Only porterd can connect to it, and each such request is a fault of porterd's."""
    with fixture.some_file() as file, fixture.Opener(fixture.grant("file", file.name)) as opener, \
            opener.connect() as other, opener.connect() as flooder:
        accepted, end = opener.client()
        packet = fixture.request(fixture.OPEN, ["file"])

        def fds():
            return len(os.listdir(f"/proc/{opener.process.pid}/fd"))

        def ask_well():
            reply = fixture.ask(other, packet, accepted)
            equal(reply["result"], fixture.OK, "another's result")
            for fd in reply["fds"]:
                os.close(fd)
        ask_well()
        fixture.ask(other, fixture.request(fixture.CHECK, ["file"]), accepted)
        # What came with a request is closed after the answer to it; with this one nothing does.
        other.send(packet)
        equal(fixture.receive(other)["result"], fixture.BAD_REQUEST)
        before = fds()
        for number, control in floods():
            if send_with(flooder, packet, control):
                equal(fixture.receive(flooder)["result"], fixture.BAD_REQUEST)
            if number % 100 == 0:
                ask_well()
        # What it has just answered with it closes after that.
        eventually(lambda: fds() == before, f"{before} fds of the opener, not {fds()}")
        accepted.close()
        end.close()


main()
