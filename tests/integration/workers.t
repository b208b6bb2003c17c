#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several worker processes on the same sockets: that clients spread, and that outside they are one daemon."""

from crew import *


@test
def connections_spread():
    """Those who come one after the other, in a burst, and side by side."""
    total = 200 if WRAPPER else 1000
    for connect_all in (one_by_one,) if WRAPPER else (one_by_one, served, by_many):
        with start() as program:
            count = Count(workers(program))
            clients = connect_all(program, total)
            had = count.now()
            equal(sum(had), total, "connections of both")
            if max(had) > 650:
                raise AssertionError(f"{connect_all.__name__}: one of them has more than 65 %: {had}")
            close_all(clients)


def wake_ups(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.MULTILINE)[1])


@test
def a_client_wakes_one_of_them():
    if WRAPPER:
        raise Skip("what is in front of the program wakes it, too")

    def woken(pids):
        before = [wake_ups(pid) for pid in pids]
        for _ in range(300):
            close_all(served(program, 1))
            time.sleep(0.002)
        return [wake_ups(pid) - first for pid, first in zip(pids, before)]

    with start() as program:
        pids = workers(program)
        # Two or three for each client: it came, said something, and left. Some more for signs of life, and where the
        # machine is busy one stands aside now and then; so it has several tries.
        tries = []
        while len(tries) < 4:
            tries.append(woken(pids))
            if min(tries[-1]) <= 150:
                return
        raise AssertionError(f"woken so often for 300 clients: {tries}")


@test
def limits_hold_for_all_together():
    with start("ConnectionsMax=11\n") as program:
        workers(program)
        clients = [program.connect() for _ in range(30)]
        for client in clients:
            client.sendall(b"x")
        time.sleep(1.5)
        ready = select.select(clients, [], [], 0)[0]
        equal(len(ready), 11, "clients that are served")
        close_all(ready)
        # The others wait, and their turn comes; not all at once, since one that was full waits for some to leave.
        rest = [client for client in clients if client not in ready]
        eventually(lambda: len(select.select(rest, [], [], 0)[0]) >= 4, "others are served then")
        time.sleep(0.5)
        equal(len(select.select(rest, [], [], 0)[0]) <= 11, True, "and not too many")
        close_all(rest)
    if ME == 0:
        def count_served(lines, uid):
            with start(lines) as program:
                workers(program)
                os.seteuid(uid)
                try:
                    clients = [program.connect() for _ in range(40)]
                finally:
                    os.seteuid(0)
                count = [is_served(client) for client in clients].count(True)
                close_all(clients)
                return count
        # Nobody knows how they spread, but no more than this.
        count = count_served("ConnectionsMax=80\nUserConnectionsMax=20\n", 4242)
        equal(10 <= count <= 20, True, f"connections of one user: {count}")


@test
def datagrams_are_one_workers_and_keep_their_order():
    with start(kind=DATAGRAM) as program:
        with program.datagram_client("client") as client:
            # The first ones may be older than the socket's setting that their senders are told.
            def answered():
                client.send(b"hello")
                return select.select([client], [], [], 0.1)[0]
            eventually(answered, "an answer")
            client.send(b"begin")
            while client.recv(10) != b"begin":
                pass
            pids = eventually(lambda: len(children(program.process.pid)) == 2 and children(program.process.pid),
                              "two workers")
            total = 200 if WRAPPER else 2000
            for number in range(total):
                client.send(b"%d" % number)
                if number >= 50:
                    equal(client.recv(10), b"%d" % (number - 50))
            for number in range(total - 50, total):
                equal(client.recv(10), b"%d" % number)
            time.sleep(0.2)
            owners = [pid for pid in pids if serves(pid)]
            equal(len(owners), 1, "workers that take them")
            # What comes until another has taken its place waits.
            os.kill(owners[0], signal.SIGKILL)
            client.send(b"later")
            equal(client.recv(10), b"later")


@test
def one_worker_needs_no_supervisor():
    for lines in ("Workers=1\n", "ConnectionsMax=1\n"):
        with start(lines) as program:
            with served(program, 1)[0]:
                equal(children(program.process.pid), [], f"children with {lines}")
    # Nor does a process for one client.
    with start(accept=True) as program, program.connect() as client:
        equal(is_served(client), True)
        pid = children(program.process.pid)[0]
        equal(children(pid), [], "children")


@test
def files_come_from_each_worker():
    with World(POLICY, settings="Workers=2\n") as world:
        world.file("key", "the key")
        world.connect().call("io.porterd.Credentials.Get")
        pids = crew(world.porterd.process.pid)
        count = Count(pids)
        clients = []

        def some_in_each():
            clients.extend(world.connect() for _ in range(20))
            for client in clients[-20:]:
                client.call("io.porterd.Credentials.Get")
            return min(count.now()) >= 5
        eventually(some_in_each, "both have some of them")

        def open_in_each():
            for client in clients:
                equal(read_all(client.open("key")), b"the key")
        open_in_each()
        os.kill(pids[0], signal.SIGKILL)
        crew(world.porterd.process.pid)
        clients = [world.connect() for _ in range(100)]
        open_in_each()


@test
def there_are_descriptors_for_each():
    """Of each worker's part one request can take so much that nothing is left for others, if there are too many."""
    if WRAPPER:
        raise Skip("so many processes take too long under valgrind")
    with start("Workers=17\n") as program:
        workers(program, 16)
        equal("Workers=17 is more than LimitNOFILE= has descriptors for: 16" in program.log(), True, program.log())


@test
def systemd_hears_one_process_for_all():
    with Manager() as manager, start() as program:
        pids = workers(program)
        manager.hear("READY=1")
        clients = served(program, 100)
        for client in clients:
            is_served(client)
        manager.hear("STATUS=connections: 100, accepted: 101, requests: 200, ")
        manager.hear(", workers: 2, replaced: 0")
        manager.hear("WATCHDOG=1")
        os.kill(pids[0], signal.SIGKILL)
        manager.hear(", workers: 2, replaced: 1")
        # What it had counted stays counted.
        close_all(clients)
        manager.hear("STATUS=connections: 0, accepted: 101, requests: 200, ")
        program.terminate()
        manager.hear("STOPPING=1")
        equal(program.wait(), 0, "exit status")
        equal({pid for pid, _ in manager.told}, {program.process.pid}, "who told it")
        equal(sum("READY=1" in text for _, text in manager.told), 1, "how often")


main()
