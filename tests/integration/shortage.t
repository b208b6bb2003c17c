#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A kernel or a process that is short of something: clients wait, it is said once, and then all is as before."""

import errno

from harness import *

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
CHECK = b'{"method":"io.porterd.Credentials.Check"}'
# As long as nothing comes within this time, nothing comes.
MOMENT = 0.4


class Short(ShortOf):
    """porterd under a kernel that is short of what a test says."""

    def __init__(self, kind=STREAM, name="echo"):
        super().__init__()
        self.program = Program(kind, name, wrapper=self.front)

    def check_log(self, number):
        log = self.program.log()
        equal(log.count("New clients wait"), 1, "records about it")
        equal(os.strerror(number) in log, True, f"the reason in {log}")

    def __exit__(self, *error):
        self.program.__exit__(*error)
        super().__exit__(*error)


def is_answered(client, seconds=MOMENT):
    """False while nothing comes; an end is an error."""
    if not select.select([client], [], [], seconds)[0]:
        return False
    equal(client.recv(65536) != b"", True, "an answer instead of the end")
    return True


@test
def new_clients_wait_while_none_can_be_accepted():
    for number in SHORTAGES:
        with Short() as short, short.program.connect() as client:
            equal(exchange(client, b"hello"), b"hello")
            short.of("accept", number)
            with short.program.connect() as later:
                later.sendall(b"hello")
                equal(is_answered(later), False, "who came when there was nothing")
                equal(exchange(client, b"hello"), b"hello", "who was there before")
                check_rests(short.program)
                short.of_nothing()
                equal(is_answered(later, PATIENCE), True, "when there is something again")
            short.check_log(number)


def receiving(kind, name, message):
    for number in SHORTAGES:
        with Short(kind, name) as short, short.program.connect() as client:
            client.send(message)
            equal(is_answered(client, PATIENCE), True)
            short.of("receive", number)
            client.send(message)
            equal(is_answered(client), False, "while nothing can be received")
            with short.program.connect() as later:
                later.send(message)
                equal(is_answered(later), False, "a client that came then")
                # One that left is not looked at again and again.
                with short.program.connect() as gone:
                    gone.send(message)
                check_rests(short.program)
                short.of_nothing()
                equal(is_answered(client, PATIENCE), True, "when something can be received")
                equal(is_answered(later, PATIENCE), True, "who came then")
            client.send(message)
            equal(is_answered(client, PATIENCE), True, "the next one")
            short.check_log(number)


@test
def echo_streams_wait():
    receiving(STREAM, "echo", b"hello")


@test
def echo_packets_wait():
    receiving(SEQPACKET, "echo", b"hello")


@test
def varlink_waits():
    receiving(STREAM, "varlink", CHECK + b"\0")


@test
def credentials_packets_wait():
    receiving(SEQPACKET, "credentials", CHECK)


def datagrams(name, message):
    for number in SHORTAGES:
        with Short(DATAGRAM, name) as short, short.program.datagram_client("client") as client:
            # Until porterd asks for their senders, datagrams have none.
            def asked():
                client.send(message)
                return is_answered(client, 0.1)
            eventually(asked, "an answer")
            while is_answered(client, 0.1):
                pass
            short.of("receive", number)
            client.send(message)
            equal(is_answered(client), False, "while nothing can be received")
            check_rests(short.program)
            short.of_nothing()
            equal(is_answered(client, PATIENCE), True, "when something can be received")
            short.check_log(number)


@test
def echo_datagrams_wait():
    datagrams("echo", b"hello")


@test
def credentials_datagrams_wait():
    datagrams("credentials", CHECK)


main()
