#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""echo on seqpacket and datagram sockets."""

import os
import select
import signal
import socket
import time

from harness import *

SIZES = (1, 2, 100, 4095, 4096, 65535, 65536, 100000, 0, 5)


def largest(kind):
    """The largest packet that a socket of this system takes without privileges: found by trying."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, kind)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 29)
    sender.setblocking(False)
    with sender, receiver:
        low, high = 1, sender.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        while low < high:
            size = (low + high + 1) // 2
            try:
                sender.send(bytes(size))
                receiver.recv(1)
                low = size
            except OSError:
                high = size - 1
        return low


def receive_packet(client):
    """A packet; it may be empty, so the caller must know that one is due."""
    return client.recv(1 << 24)


def check_boundaries(program):
    with program.connect() as client:
        for size in SIZES:
            data = os.urandom(size)
            client.send(data)
            equal(receive_packet(client), data, f"a packet of {size}")
        # Several under way.
        for size in (3, 0, 2, 0, 0, 1):
            client.send(b"x" * size)
        for size in (3, 0, 2, 0, 0, 1):
            equal(len(receive_packet(client)), size, "a packet's size")


def check_empty_is_no_end(program):
    with program.connect() as client:
        client.send(b"")
        equal(receive_packet(client), b"")
        client.send(b"more")
        equal(receive_packet(client), b"more", "after an empty packet")
    # Both are there before the daemon looks: the empty packet comes back, then the end comes.
    with program.connect() as client:
        client.settimeout(PATIENCE)
        client.send(b"")
        client.send(b"last")
        client.send(b"")
        client.shutdown(socket.SHUT_WR)
        equal([receive_packet(client) for _ in range(3)], [b"", b"last", b""], "packets before the end")
        equal(client.recv(1), b"", "the end")
        poll = select.poll()
        poll.register(client, select.POLLHUP)
        if not poll.poll(PATIENCE * 1000):
            raise AssertionError("it is still open after the end")


def check_largest(program):
    with program.connect() as client:
        size = largest(SEQPACKET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 29)
        data = os.urandom(size)
        client.send(data)
        equal(receive_packet(client) == data, True, "the largest packet came back")


def check_lazy(program):
    with program.connect() as lazy, program.connect() as other:
        lazy.setblocking(False)
        pushed = 0
        while select.select([], [lazy], [], 0.3)[1]:
            lazy.send(b"%d" % pushed)
            pushed += 1
            if pushed > 10000:
                raise AssertionError("it takes more and more")
        other.send(b"other")
        equal(other.recv(10), b"other", "another client meanwhile")
        lazy.settimeout(PATIENCE)
        for number in range(pushed):
            equal(lazy.recv(10), b"%d" % number, "in order")


@test
def seqpacket_boundaries():
    with Program(SEQPACKET) as program:
        check_boundaries(program)


@test
def seqpacket_empty_is_not_the_end():
    with Program(SEQPACKET) as program:
        check_empty_is_no_end(program)


@test
def seqpacket_largest():
    with Program(SEQPACKET) as program:
        check_largest(program)


@test
def seqpacket_lazy_reader():
    with Program(SEQPACKET) as program:
        check_lazy(program)


@test
def seqpacket_fds_sent_along_do_not_stay():
    with Program(SEQPACKET) as program:
        check_fds_do_not_stay(program)


@test
def seqpacket_abstract():
    with Program(SEQPACKET, abstract=True) as program:
        check_boundaries(program)


@test
def seqpacket_accepted():
    with Program(SEQPACKET, accept=True) as program:
        check_boundaries(program)
        check_empty_is_no_end(program)
        check_largest(program)


def start_datagrams():
    """A running echo. The kernel attests datagrams that were sent after the daemon had asked for it; before that
    they are not answered where their sender is bound in the file system. PassCredentials= in a socket unit asks
    before the daemon runs."""
    program = Program(DATAGRAM)
    with program.datagram_client("first") as client:
        def ask():
            client.send(b"first")
            return client.recv(10)
        equal(first_answer(client, ask), b"first")
    return program


@test
def datagram_back_to_its_sender():
    with start_datagrams() as program:
        clients = [program.datagram_client(f"c{n}") for n in range(5)]
        for size in SIZES:
            for number, client in enumerate(clients):
                client.send(b"%d" % number * size)
            for number, client in enumerate(clients):
                equal(receive_packet(client), b"%d" % number * size, f"client {number}, size {size}")
        data = os.urandom(largest(DATAGRAM))
        clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 29)
        clients[0].send(data)
        equal(receive_packet(clients[0]) == data, True, "the largest datagram came back")


@test
def datagram_not_connected_client_and_abstract_addresses():
    with Program(DATAGRAM, abstract=True) as program:
        client = socket.socket(socket.AF_UNIX, DATAGRAM)
        client.settimeout(PATIENCE)
        client.bind(f"\0porterd-test/{os.getpid()}/client")
        address = "\0" + program.path[1:]
        client.sendto(b"hello", address)
        data, source = client.recvfrom(100)
        equal((data, source), (b"hello", address.encode()), "answer and its source")


@test
def datagram_unbound_sender_is_passed_over():
    with start_datagrams() as program:
        unbound, bound = program.datagram_client(), program.datagram_client("bound")
        for _ in range(20):
            unbound.send(b"nobody")
        bound.send(b"somebody")
        equal(bound.recv(100), b"somebody")


@test
def datagram_full_queue_holds_up_nobody():
    with start_datagrams() as program:
        lazy, other = program.datagram_client("lazy"), program.datagram_client("other")
        lazy.setblocking(False)
        sent = 0
        while select.select([], [lazy], [], 0.3)[1] and sent < 5000:
            lazy.send(b"%d" % sent)
            sent += 1
            if sent % 100 == 0:
                begin = time.monotonic()
                other.send(b"other")
                equal(other.recv(10), b"other", "the other meanwhile")
                if time.monotonic() - begin > PATIENCE / 2:
                    raise AssertionError("the other had to wait")
        # What the kernel had room for is there, in order, without gaps at the beginning. What waited for a second try
        # comes after it, and as long as it waits a further question may be passed over: so it is asked again.
        lazy.setblocking(True)
        lazy.settimeout(PATIENCE)
        got = []

        def answered_again():
            lazy.send(b"again")
            while select.select([lazy], [], [], 0.1)[0]:
                answer = lazy.recv(10)
                if answer == b"again":
                    return True
                got.append(int(answer))
            return False

        eventually(answered_again, "an answer after it has read")
        equal(got, sorted(set(got)), "order")
        equal(got[:5], [0, 1, 2, 3, 4], "beginning")


@test
def datagram_send_buffer_filled_by_lazy_readers():
    """Unread answers are charged to the daemon's socket; those who read are served all the same."""
    with start_datagrams() as program:
        address = program.path
        lazy = []
        for number in range(40):
            client = socket.socket(socket.AF_UNIX, DATAGRAM)
            client.bind(os.path.join(program.directory, f"lazy{number}"))
            client.settimeout(PATIENCE)
            lazy.append(client)
            for _ in range(4):
                client.sendto(b"x" * 30000, address)
        other = socket.socket(socket.AF_UNIX, DATAGRAM)
        other.bind(os.path.join(program.directory, "other"))
        other.settimeout(PATIENCE)
        for number in range(20):
            other.sendto(b"%d" % number, address)
            equal(other.recv(10), b"%d" % number, "the one who reads")
        for client in lazy:
            equal(len(client.recv(40000)), 30000, "a lazy one's first answer")


@test
def datagram_answers_that_nobody_reads_have_a_bound():
    """They are memory of the daemon's: one user's are bounded, and nobody else's wait for them."""
    if os.geteuid() != 0:
        raise Skip("only root can be two users")
    with start_datagrams() as program:
        os.chmod(program.directory, 0o777)
        clients, size = [], 40000
        for number in range(200):
            client = socket.socket(socket.AF_UNIX, DATAGRAM)
            client.bind(os.path.join(program.directory, f"hog{number}"))
            client.settimeout(PATIENCE)
            clients.append(client)
            for _ in range(9):
                client.sendto(b"x" * size, program.path)
        os.chmod(program.path, 0o666)
        os.setresuid(4243, 4243, 0)
        try:
            other = program.datagram_client("other")
            for number in range(20):
                other.send(b"%d" % number)
                equal(other.recv(10), b"%d" % number, "another user's")
        finally:
            os.setresuid(0, 0, 0)
        unread = 0
        for client in clients:
            client.setblocking(False)
            try:
                while True:
                    unread += len(client.recv(size))
            except BlockingIOError:
                pass
        print(f"# {unread} of {200 * 9 * size} bytes were kept")
        # What 64 sockets hold, and half of the daemon's own, which is at most 16 MiB here.
        equal(10 * size < unread < 64 * 212992 + (8 << 20), True, f"{unread} bytes")


def client_of(program, name):
    """Bound to a path, to an abstract address (@), or to none."""
    client = program.datagram_client(None if not name or name.startswith("@") else name)
    if name and name.startswith("@"):
        client.bind(f"\0{program.directory}/{name}")
    return client


@test
def datagrams_in_a_queue_are_answered_each_by_itself():
    """Those that wait together are received and sent together, whoever they are from, and whatever ails some."""
    with start_datagrams() as program:
        for _ in range(3):
            clients = [client_of(program, name) for name in ("@one", "path", None, "@two")]
            gone = client_of(program, "@gone")
            wanted = {client: [] for client in clients}
            gone.send(b"warm")
            equal(gone.recv(10), b"warm")
            program.process.send_signal(signal.SIGSTOP)
            for number, sender in enumerate((0, 3, "gone", 0, 2, 1, 3, 0, 3)):
                data = b"%d " % number * (1 if number % 2 else 1000 * number) + b"."
                if sender == "gone":
                    gone.send(data)
                    gone.close()
                    continue
                clients[sender].send(data)
                if clients[sender].getsockname():
                    wanted[clients[sender]].append(data)
            program.process.send_signal(signal.SIGCONT)
            for client in clients:
                equal([client.recv(100000) for _ in wanted[client]] == wanted[client], True, "answers in order")
            for client in clients:
                client.setblocking(False)
                try:
                    raise AssertionError(f"one more answer: {client.recv(100)}")
                except BlockingIOError:
                    pass
                client.close()
            os.unlink(os.path.join(program.directory, "path"))


def check_no_answer_to(program, victim, change):
    """Sends from a socket whose path is something else by the time of the answer."""
    path = os.path.join(program.directory, "client")
    with program.datagram_client("client") as client:
        program.process.send_signal(signal.SIGSTOP)
        client.send(b"WATCHDOG=trigger")
        change(path)
        program.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        victim.setblocking(False)
        try:
            raise AssertionError(f"the answer went to somebody else: {victim.recv(100)}")
        except BlockingIOError:
            pass
    os.unlink(path)
    with program.datagram_client("after") as client:
        client.send(b"alive")
        equal(client.recv(10), b"alive", "the next")
    os.unlink(os.path.join(program.directory, "after"))


@test
def datagram_answers_go_to_no_other_socket():
    with start_datagrams() as program, socket.socket(socket.AF_UNIX, DATAGRAM) as victim:
        victim_path = os.path.join(program.directory, "victim")
        victim.bind(victim_path)

        def link(path):
            os.unlink(path)
            os.symlink(victim_path, path)
        check_no_answer_to(program, victim, link)

        def link_to_itself(path):
            os.unlink(path)
            os.symlink(program.path, path)
        check_no_answer_to(program, victim, link_to_itself)


@test
def datagram_answers_go_to_no_other_users_socket():
    if os.geteuid() != 0:
        raise Skip("only root can give a socket to somebody else")
    with start_datagrams() as program:
        with program.datagram_client("given") as client:
            os.chown(os.path.join(program.directory, "given"), 4242, -1)
            client.send(b"x")
            client.settimeout(0.3)
            try:
                raise AssertionError(f"an answer to a socket that is not the sender's: {client.recv(10)}")
            except TimeoutError:
                pass


main()
