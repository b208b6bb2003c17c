#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""echo on streams, Accept=no and Accept=yes."""

import contextlib
import errno
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from random import Random

from harness import *

MIB = 1 << 20
# Once for each arrival, and for ends and urgent data.
EDGE = select.EPOLLET | select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP


def check_sizes(program):
    with program.connect() as client:
        for size in (1, 2, 63, 64, 65, 4095, 4096, 65535, 65536, 65537, 200000):
            data = os.urandom(size)
            equal(exchange(client, data), data, f"{size} bytes")


def check_bulk(program):
    data = os.urandom(MIB) * 32
    with program.connect() as client:
        equal(exchange(client, data) == data, True, "32 MiB came back as they were")


def check_half_close(program):
    data = os.urandom(3 * MIB)
    with program.connect() as client:
        def write():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=write)
        writer.start()
        equal(receive_exactly(client, len(data)) == data, True, "all came back after the half-close")
        equal(client.recv(1), b"", "the end")
        writer.join()


def check_lazy_reader(program):
    """A client that does not read is not read from: what it can push is bounded by socket buffers and one piece."""
    with program.connect() as client:
        client.setblocking(False)
        pushed = 0
        while True:
            _, writable, _ = select.select([], [client], [], 0.5)
            if not writable:
                break
            pushed += client.send(b"x" * 65536)
            if pushed > 8 * MIB:
                raise AssertionError("it takes more and more")
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        equal(len(receive_exactly(client, pushed)), pushed, "everything pushed came back")
        equal(client.recv(1), b"", "the end")


@test
def listening_all_sizes():
    with Program() as program:
        check_sizes(program)


@test
def listening_bulk():
    with Program() as program:
        check_bulk(program)


@test
def listening_half_close():
    with Program() as program:
        check_half_close(program)


@test
def listening_lazy_reader_is_bounded_and_holds_up_nobody():
    with Program() as program:
        with program.connect() as lazy:
            lazy.setblocking(False)
            try:
                while True:
                    lazy.send(b"x" * 65536)
            except BlockingIOError:
                pass
            check_sizes(program)
        check_lazy_reader(program)


@test
def listening_many_clients():
    with Program() as program:
        clients = [program.connect() for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        for number, client in enumerate(clients):
            equal(client.recv(100), b"%d" % number)
        for client in clients:
            client.close()


@test
def listening_abstract():
    with Program(abstract=True) as program:
        check_sizes(program)


@test
def listening_fds_sent_along_do_not_stay():
    with Program() as program:
        check_fds_do_not_stay(program)


def pipes(pid):
    """How many ends of pipes it holds besides what it was started with."""
    return sum(fd_link(pid, fd).startswith("pipe:") for fd in fd_numbers(pid) if fd > 2)


def random_pieces(random):
    """Sizes that a client sends at once: runs of bulk, of small ones, and of anything between."""
    pieces = []
    for _ in range(12):
        low, high = random.choice([(65536, 65536), (60000, 260000), (1, 100), (4000, 40000), (1, 200000)])
        pieces += [random.randint(low, high) for _ in range(random.randint(1, 12))]
    return pieces


def talk(program, seed, failures):
    """One client of which nothing can be foreseen but that it gets back what it sent."""
    random = Random(seed)
    pieces = random_pieces(random)
    data = random.randbytes(sum(pieces))
    lazy = random.choice([0, 0, 0.0005, 0.002])
    try:
        with program.connect() as client:
            def write():
                at = 0
                for size in pieces:
                    client.sendall(data[at:at + size])
                    at += size
                    if random.random() < 0.2:
                        time.sleep(random.random() * 0.004)
                client.shutdown(socket.SHUT_WR)
            writer = threading.Thread(target=write)
            writer.start()
            got = bytearray()
            reader = Random(seed + 1)
            while len(got) < len(data):
                piece = client.recv(reader.choice([100, 4096, 65536, 300000]))
                if not piece:
                    break
                got += piece
                if lazy and reader.random() < 0.3:
                    time.sleep(lazy)
            writer.join()
            equal(len(got), len(data), f"bytes of seed {seed}")
            equal(bytes(got) == data, True, f"content of seed {seed}")
            equal(client.recv(1), b"", f"the end of seed {seed}")
    except Exception as error:  # told by the test's own thread
        failures.append(error)


def check_changes(program):
    """Clients that change between bulk and small messages."""
    seed = int(os.environ.get("TEST_SEED", "0")) or int.from_bytes(os.urandom(4), "little")
    print(f"# seed {seed}", flush=True)
    failures = []
    for round_ in range(3):
        clients = [threading.Thread(target=talk, args=(program, seed + 100 * round_ + i, failures)) for i in range(6)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    if failures:
        raise failures[0]


@test
def listening_bulk_and_small_change_over_in_order():
    with Program() as program:
        check_changes(program)


@test
def listening_bulk_is_spliced_and_its_pipe_given_back():
    with Program() as program, program.connect() as client:
        data = os.urandom(65536)
        equal(exchange(client, data[:100]), data[:100])
        equal(pipes(program.process.pid), 0, "ends of pipes before bulk")
        for _ in range(8):
            client.sendall(data)
            equal(receive_exactly(client, len(data)) == data, True)
        equal(pipes(program.process.pid), 2, "ends of pipes with bulk")
        # Kept for the next one, and no more of them for one after the other.
        for _ in range(3):
            with program.connect() as other:
                for _ in range(8):
                    other.sendall(data)
                    equal(receive_exactly(other, len(data)) == data, True)
        equal(pipes(program.process.pid), 2, "ends of pipes after others")
        # A client that leaves with bytes on their way: they are nobody else's.
        with program.connect() as lazy:
            for _ in range(8):
                lazy.sendall(data)
                receive_exactly(lazy, len(data))
            lazy.setblocking(False)
            while select.select([], [lazy], [], 0.3)[1]:
                try:
                    lazy.send(b"!" * 65536)
                except BlockingIOError:
                    pass
        for _ in range(8):
            client.sendall(data)
            equal(receive_exactly(client, len(data)) == data, True, "nothing of the one that left")


def takes_refusals():
    """Can this kernel refuse descriptors at their sender?"""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, 83, 0)  # SO_PASSRIGHTS
        except OSError:
            return False
    return True


def edges(pid):
    """How many descriptors its epoll tells of by their edge."""
    found = 0
    for fd in fd_numbers(pid):
        if "eventpoll" in fd_link(pid, fd):
            text = open(f"/proc/{pid}/fdinfo/{fd}").read()
            masks = re.findall(r"^tfd:.* events: +(\w+)", text, re.MULTILINE)
            found += sum(int(mask, 16) & EDGE == EDGE for mask in masks)
    return found


class Staying:
    """A program whose clients have all had some exchanges before they are given out."""

    def __init__(self, program):
        self.program = program

    def connect(self):
        client = self.program.connect()
        for number in range(20):
            equal(exchange(client, b"%d" % number), b"%d" % number)
        return client


@contextlib.contextmanager
def frozen(program):
    """It receives nothing meanwhile, and then all at once."""
    def stands():
        with open(f"/proc/{program.process.pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] in ("T", "t")  # t: strace is there, too
    os.kill(program.process.pid, signal.SIGSTOP)
    eventually(stands, "it stands still")
    yield
    os.kill(program.process.pid, signal.SIGCONT)


def check_staying(program, expected):
    for check in (check_sizes, check_bulk, check_half_close, check_lazy_reader, check_changes):
        check(Staying(program))
    with Staying(program).connect():
        equal(edges(program.process.pid), expected, "who is told of by the edge")


@test
def listening_who_stays_is_served_like_anybody():
    with Program() as program:
        check_staying(program, 1 if takes_refusals() else 0)


@test
def listening_who_stays_where_descriptors_cannot_be_refused():
    wrapper = preload("accept_rights")
    if not wrapper:
        raise Skip("nothing can be preloaded here")
    with Program(wrapper=wrapper) as program:
        check_staying(program, 0)


@test
def listening_nothing_stays_behind_what_came_at_once():
    with Program() as program:
        for size in (1, 65535, 65536, 65537, 150000):
            data = os.urandom(size)
            with Staying(program).connect() as client:
                with frozen(program):
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                equal(receive_exactly(client, size) == data, True, f"{size} bytes")
                equal(client.recv(1), b"", f"the end behind {size} bytes")


@test
def listening_urgent_bytes_hold_up_nothing():
    with Program() as program:
        for connect in (program.connect, Staying(program).connect):
            with connect() as client:
                with frozen(program):
                    client.sendall(b"before")
                    try:
                        client.send(b"!", socket.MSG_OOB)
                    except OSError as error:
                        equal(error.errno, errno.EOPNOTSUPP)
                    client.sendall(b"behind")
                equal(receive_exactly(client, 12), b"beforebehind")
                equal(exchange(client, b"and on"), b"and on")
                # It does not go round for what nobody takes.
                before = cpu_seconds(program)
                time.sleep(0.5)
                equal(cpu_seconds(program) - before < 0.2, True, "it rests")


@test
def accepted_all_sizes():
    with Program(accept=True) as program:
        check_sizes(program)


@test
def accepted_bulk():
    with Program(accept=True) as program:
        check_bulk(program)


@test
def accepted_bulk_and_small_change_over_in_order():
    with Program(accept=True) as program:
        check_changes(program)


def served_pipes(program):
    """How many ends of pipes the one process has that serves the one client."""
    children = open(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read().split()
    equal(len(children), 1, "processes")
    return pipes(int(children[0]))


@test
def accepted_bulk_is_spliced_as_long_as_it_comes():
    with Program(accept=True) as program, program.connect() as client:
        data = os.urandom(65536)
        equal(exchange(client, data[:100]), data[:100])
        equal(served_pipes(program), 0, "ends of pipes before bulk")
        for _ in range(8):
            equal(exchange(client, data) == data, True)
        equal(served_pipes(program), 2, "ends of pipes with bulk")
        for _ in range(8):
            equal(exchange(client, data[:100]), data[:100])
        equal(served_pipes(program), 0, "ends of pipes after it")


@test
def accepted_half_close():
    with Program(accept=True) as program:
        check_half_close(program)


@test
def accepted_lazy_reader():
    with Program(accept=True) as program:
        check_lazy_reader(program)


@test
def accepted_one_process_a_client_gone_afterwards():
    with Program(accept=True) as program:
        clients = [program.connect() for _ in range(3)]
        for client in clients:
            equal(exchange(client, b"hello"), b"hello")
        equal(program.log().count("Spawned"), 3, "processes")
        clients.pop().close()
        eventually(lambda: program.log().count("died with code 0") == 1, "one process ended well")
        for client in clients:
            equal(exchange(client, b"still"), b"still")
            client.close()


@test
def tcp_is_served_too():
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    process = subprocess.Popen(["systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=echo"] +
                               WRAPPER + [PORTERD], stderr=subprocess.DEVNULL)
    try:
        def try_connect():
            try:
                return socket.create_connection(("127.0.0.1", port), PATIENCE)
            except ConnectionRefusedError:
                return None
        with eventually(try_connect, "the port is open") as client:
            equal(exchange(client, b"over tcp"), b"over tcp")
    finally:
        process.terminate()
        process.wait(PATIENCE)


main()
