#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That nothing is allocated for a message, nor for a request but what the JSON library needs."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import *

OPENER = os.path.join(BUILD, "porterd-opener")
FEW, MANY = 40, 540


class Counted(Program):
    """A program whose allocations are counted (allocations.c)."""

    def __init__(self, *arguments, **options):
        self.out = tempfile.NamedTemporaryFile(prefix="porterd-allocations-")
        wrapper = [*preload("allocations", "bench"), f"ALLOCATIONS={self.out.name}"]
        super().__init__(*arguments, wrapper=wrapper, **options)

    def allocations(self):
        """How often it allocated, by object and place in it; after its end."""
        self.terminate()
        self.process.wait(60)
        with open(self.out.name) as file:
            return {tuple(line.split()[1:]): int(line.split()[0]) for line in file}


def check(run):
    """run(n) makes n exchanges and returns the programs' allocations. Once a second a program tells its status, which
    allocates: so a few do not count, and one each would be many."""
    if not preload("allocations", "bench"):
        raise Skip("valgrind's or a sanitizer's malloc() is not the program's")
    few, many = run(FEW), run(MANY)
    for program, places in many.items():
        equal(sum(places.values()) > 0, True, "some are at its start")
        for place, count in places.items():
            each = (count - few[program].get(place, 0)) / (MANY - FEW)
            if each > 0.1 and not place[0].startswith("libjansson"):
                raise AssertionError(f"{program} allocates {each:.2f} times each at {place[1]} of {place[0]}")


def echo(kind, size):
    def run(count):
        with Counted(kind, "echo", arguments=["--exit-idle=0"]) as program:
            with program.datagram_client("client") if kind == DATAGRAM else program.connect() as client:
                if kind == DATAGRAM:
                    first_answer(client, lambda: client.send(b"x") and client.recv(1))
                for number in range(count):
                    data = number.to_bytes(8, "little") * (size // 8)
                    client.sendall(data)
                    equal(receive_exactly(client, size) if kind == STREAM else client.recv(size + 1), data)
            return {"porterd": program.allocations()}
    check(run)


@test
def an_echo_of_a_stream():
    echo(STREAM, 64)


@test
def bulk():
    echo(STREAM, 65536)


@test
def an_echo_of_a_packet():
    echo(SEQPACKET, 64)


@test
def an_echo_of_a_datagram():
    echo(DATAGRAM, 64)


def receive_reply(client):
    """One reply, whose end is a NUL; and how many descriptors came along, which are closed."""
    data, count = b"", 0
    while not data.endswith(b"\0"):
        part, fds = receive_fds(client)
        data += part
        count += len(fds)
        for fd in fds:
            os.close(fd)
    return json.loads(data[:-1]), count


@test
def who_one_is():
    def run(count):
        with Counted(name="varlink", arguments=["--exit-idle=0"]) as program:
            with program.connect() as client:
                for _ in range(count):
                    client.sendall(b'{"method":"io.porterd.Credentials.Get"}\0')
                    equal(receive_reply(client)[0]["parameters"]["credentials"]["pid"], os.getpid())
            return {"porterd": program.allocations()}
    check(run)


def files(names, question):
    def run(count):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "files.conf"), "w") as policy:
                for name in names:
                    path = os.path.join(directory, name)
                    with open(path, "w") as file:
                        file.write("content")
                    policy.write(f"[{name}]\nPath={path}\nAccess=read-write\nAllowUser={os.geteuid()}\n")
            os.chmod(policy.name, 0o644)
            with Counted(SEQPACKET, "opener", program=OPENER, arguments=[f"--config-dir={directory}"]) as opener, \
                    Counted(name="varlink", arguments=["--exit-idle=0", f"--opener={opener.path}"]) as porterd:
                with porterd.connect() as client:
                    for _ in range(count):
                        client.sendall(question)
                        equal(receive_reply(client)[1], len(names), "descriptors")
                return {"porterd": porterd.allocations(), "opener": opener.allocations()}
    check(run)


@test
def a_file():
    files(["one"], b'{"method":"io.porterd.Files.Open","parameters":{"file":"one"}}\0')


@test
def files_at_once():
    files(["one", "two", "three"],
          b'{"method":"io.porterd.Files.OpenMany","parameters":{"files":["one","two","three"]}}\0')


main()
