#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterd.conf: what it sets, how its layers lie upon each other, and what becomes of errors."""

from harness import *


# Everybody here is one user.
ONE_USER = "UserConnectionsMax=1000000\n"


def limit(program):
    """How many connections it serves at once, up to 8; told apart by who is answered."""
    clients = [program.connect() for _ in range(8)]
    try:
        for client in clients:
            client.sendall(b"x")
        # The last one is answered when everybody is, or when another has left.
        clients[0].recv(1)
        time.sleep(0.3)
        served = 1
        for client in clients[1:]:
            client.setblocking(False)
            try:
                served += len(client.recv(1))
            except BlockingIOError:
                pass
        return served
    finally:
        for client in clients:
            client.close()


def is_served(program):
    with program.connect() as client:
        client.sendall(b"hello")
        equal(receive_exactly(client, 5), b"hello")


@test
def the_limit_of_connections_is_kept_and_given_back():
    with Configured({"porterd.conf": "[Server]\nConnectionsMax=3\n" + ONE_USER}) as program:
        equal(limit(program), 3, "connections at once")
        equal(limit(program), 3, "when the first ones have left")
    with Configured({"porterd.conf": "[Server]\nConnectionsMax=1\n"}) as program:
        equal(limit(program), 1)
        for _ in range(3):
            is_served(program)


@test
def blank_lines_and_comments_are_nothing():
    for text in (f" \n[Server]\n\t\nConnectionsMax=3\n  \n\t\n{ONE_USER} ",
                 f"# one\n[Server]\n# two\nConnectionsMax=3\n# three\n# four\n{ONE_USER}#"):
        with Configured({"porterd.conf": text}) as program:
            equal(limit(program), 3)
            equal("is not a number" in program.log() or "there is no" in program.log(), False, program.log())


def lines(number):
    return {"porterd.conf": f"[Server]\nConnectionsMax={number}\n" + ONE_USER}


@test
def a_reload_brings_other_limits():
    configured = Configured(lines(2))
    with configured as program:
        with program.connect() as one, program.connect() as two, program.connect() as three:
            for client in (one, two):
                equal(exchange(client, b"hello"), b"hello")
            three.sendall(b"wait")
            configured.reload(lines(3))
            equal(receive_exactly(three, 4), b"wait", "who waited at the limit")
            # Whoever is there stays, also where there may be fewer.
            configured.reload(lines(1))
            for client in (one, two, three):
                equal(exchange(client, b"still"), b"still")
        equal(limit(program), 1, "with the lower limit")
        configured.reload({"porterd.conf": "[Server]\nConnectionsMax=many\nWorkers=3\n"})
        equal("Another number of workers (3) comes with the next start" in program.log(), True, program.log())
        is_served(program)
        equal(limit(program), 8, "with one that is wrong, and so left out")


@test
def who_is_served_alone_outlives_sighup():
    with Program(accept=True) as program, program.connect() as client:
        equal(exchange(client, b"hello"), b"hello")
        with open(f"/proc/{program.process.pid}/task/{program.process.pid}/children") as file:
            os.kill(int(file.read()), signal.SIGHUP)
        equal(exchange(client, b"still"), b"still")


@test
def without_a_file_all_are_served():
    with Configured({}) as program:
        equal(limit(program), 8)


@test
def drop_ins_come_later_in_their_order():
    with Configured({"porterd.conf": "[Server]\nConnectionsMax=2\n" + ONE_USER,
                     "porterd.conf.d/20.conf": "[Server]\nConnectionsMax=4\n",
                     "porterd.conf.d/10.conf": "[Server]\nConnectionsMax=3\n",
                     "porterd.conf.d/.hidden.conf": "[Server]\nConnectionsMax=5\n",
                     "porterd.conf.d/90.conf~": "[Server]\nConnectionsMax=5\n"}) as program:
        equal(limit(program), 4)
    with Configured({"porterd.conf.d/10.conf": "[Server]\nConnectionsMax=3\n" + ONE_USER,
                     "porterd.conf.d/20.conf": ""}) as program:
        equal(limit(program), 3, "an empty one says nothing")


@test
def errors_are_told_and_left_out():
    for line, word in (("ConnectionsMax=0", "ConnectionsMax=0 is not a number from 1 to 1000000"),
                       ("ConnectionsMax=-3", "is not a number"),
                       ("ConnectionsMax=3x", "is not a number"),
                       ("ConnectionsMax=9999999", "is not a number"),
                       ("ConnectionsMax=", "is not a number"),
                       ("BusyPollUSec=1000001", "BusyPollUSec=1000001 is not a number from 0 to 1000000"),
                       ("Connections=3", "there is no key Connections"),
                       ("[Other]\nConnectionsMax=3", "there is no section [Other]")):
        with Configured({"porterd.conf": f"[Server]\n{line}\n"}) as program:
            equal(limit(program), 8, line)
            eventually(lambda: word in program.log(), f"{line}: told in the log: {program.log()}")
            equal("porterd.conf" in program.log(), True, "with the file's name")


@test
def what_cannot_be_read_is_told():
    for files, why in (({"porterd.conf": "[Server]\nConnectionsMax=3\n" + "#" * (1 << 20)}, "File too large"),
                       ({"porterd.conf/10.conf": "[Server]\nConnectionsMax=3\n"}, "Is a directory")):
        with Configured(files) as program:
            equal(limit(program), 8, why)
            eventually(lambda: f"/porterd.conf: it can't be read: {why}" in program.log(), program.log())
    with Configured({"porterd.conf": "ConnectionsMax=3\n"}) as program:
        equal(limit(program), 8, "outside of a section")
        eventually(lambda: "is in no section" in program.log(), f"told in the log: {program.log()}")


@test
def who_does_not_read_is_waited_for_so_long_at_the_end():
    for seconds in (1, 6):
        with Configured({"porterd.conf": f"[Server]\nDrainTimeoutSec={seconds}\n"}) as program:
            with program.connect() as client:
                fill(client, b"x" * 65536)
                begin = time.monotonic()
                program.terminate()
                equal(program.process.wait(seconds + PATIENCE), 0, "exit status")
                took = time.monotonic() - begin
        if not seconds - 0.2 < took < seconds + 2:
            raise AssertionError(f"DrainTimeoutSec={seconds}: it took {took} s")


@test
def busy_polling_looks_before_it_sleeps():
    if WRAPPER:
        raise Skip("what is in front of the program sleeps by itself")
    with Configured({"porterd.conf": "[Server]\nBusyPollUSec=200000\n"}) as program:
        is_served(program)
        begin = cpu_seconds(program)
        with program.connect() as client:
            for _ in range(5):
                client.sendall(b"x")
                equal(client.recv(1), b"x")
                time.sleep(0.1)
        used = cpu_seconds(program) - begin
        # Five times a tenth of a second, less what others needed of the machine.
        if used < 0.1:
            raise AssertionError(f"busy for {used} s of 0.5")
        time.sleep(0.5)
        begin = cpu_seconds(program)
        time.sleep(0.5)
        used = cpu_seconds(program) - begin
        # The tick of the status wakes it once a second.
        if used > 0.45:
            raise AssertionError(f"busy for {used} s of 0.5 with nobody there")


main()
