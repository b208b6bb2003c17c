"""Several processes that serve: for systemd and for clients they are one daemon."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import time

import client
from harness import (alone, contains, cursor, drop_in, equal, grant, journal, main_pid, policy, prop, run, secret,
                     systemctl, test, wait_until)

ECHO = "/run/porterd/echo"
SETTINGS = pathlib.Path("/etc/porterd/porterd.conf.d/workers.conf")
ENDED = "a60c42acaf6844899df29f3475cd71de"


@contextlib.contextmanager
def workers(count=2):
    SETTINGS.parent.mkdir(exist_ok=True)
    SETTINGS.write_text(f"[Server]\nWorkers={count}\n")
    try:
        systemctl("restart", "porterd.service")
        wait_until(lambda: len(children()) == count, f"{count} workers")
        yield
    finally:
        SETTINGS.unlink()
        SETTINGS.parent.rmdir()


def children():
    pid = main_pid("porterd.service")
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return sorted(int(child) for child in path.read_text().split()) if path.exists() else []


def connected(count):
    clients = [client.connect(ECHO) for _ in range(count)]
    equal(sum(answers(one) for one in clients), count, "clients that are served")
    return clients


def answers(one):
    try:
        one.sendall(b"x")
        return one.recv(1) == b"x"
    except ConnectionError:
        return False


def close_all(clients):
    for one in clients:
        one.close()


@test
def each_service_is_served_by_workers():
    policy(grant("key", secret("key"), "AllowUser=root"))
    with workers():
        clients = [client.Varlink() for _ in range(100)]
        for one in clients:
            equal(one.call("io.porterd.Credentials.Get")["credentials"]["uid"], 0)
            with one.open("key") as file:
                equal(os.read(file.fileno(), 100), b"secret\n")
            one.close()
        equal(client.echo(ECHO, b"x" * 100000), b"x" * 100000)
        for path in (f"{ECHO}.seqpacket", f"{ECHO}.dgram"):
            kind = socket.SOCK_SEQPACKET if path.endswith("seqpacket") else socket.SOCK_DGRAM
            with client.connect(path, kind) as packets:
                packets.send(b"packet")
                equal(packets.recv(100), b"packet", path)
        contains(prop("porterd.service", "StatusText"), "workers: 2", "status")
        status = json.loads(run("porterctl", "status", "--json").stdout)["units"]["porterd.service"]["status"]
        equal((status["workers"], status["replaced"]), (2, 0))


@test
def a_worker_that_is_killed_takes_only_its_own_clients():
    with workers():
        main, (first, second), after = main_pid("porterd.service"), children(), cursor()
        clients = connected(200)
        os.kill(first, signal.SIGKILL)
        lost = 200 - sum(answers(one) for one in clients)
        equal(20 < lost < 180, True, f"clients that were lost: {lost}")
        wait_until(lambda: len(children()) == 2, "another is there")
        equal((main_pid("porterd.service"), second in children(), first in children()), (main, True, False))
        close_all(connected(50) + clients)
        record = wait_until(lambda: journal(after, MESSAGE_ID=ENDED), "the record")[0]
        contains(record["MESSAGE"], f"(process {first}) was killed by signal 9 (Killed), with {lost} connections")
        equal((record["PORTERD_WORKER_PID"], record["_PID"], record["PRIORITY"]), (str(first), str(main), "3"))
        wait_until(lambda: "workers: 2, replaced: 1" in prop("porterd.service", "StatusText"), "the status")
        equal(prop("porterd.service", "NRestarts"), "0", "restarts of the service")


@test
@alone
def a_worker_that_hangs_is_replaced_in_the_time_of_the_watchdog():
    drop_in("porterd.service", "[Service]\nWatchdogSec=3s\n")
    with workers():
        main, (first, second), after = main_pid("porterd.service"), children(), cursor()
        os.kill(first, signal.SIGSTOP)
        started = time.monotonic()
        for _ in range(200):
            close_all(connected(1))
        equal(time.monotonic() - started < 5, True, "in good time")
        wait_until(lambda: first not in children() and len(children()) == 2, "another is there", 10)
        equal(second in children(), True, "the other one stays")
        wait_until(lambda: any("gave no sign of life" in entry["MESSAGE"] for entry in journal(after, MESSAGE_ID=ENDED)),
                   "the record")
        # Nor does systemd miss anything.
        time.sleep(4)
        equal((main_pid("porterd.service"), prop("porterd.service", "NRestarts")), (main, "0"))


@test
def a_restart_keeps_the_connections_of_all():
    policy(grant("key", secret("key"), "AllowUser=root"))
    with workers():
        clients, callers = connected(200), [client.Varlink() for _ in range(50)]
        for number in range(5):
            before, after = main_pid("porterd.service"), cursor()
            for one in callers:
                one.send("io.porterd.Files.Open", {"file": "key"})
            for one in clients:
                one.sendall(b"%d" % number * 1000)
            systemctl("restart", "porterd.service")
            equal(main_pid("porterd.service") not in (0, before), True, "another process")
            for one in clients:
                equal(client.read_exactly(one, 1000), b"%d" % number * 1000)
            for one in callers:
                equal("descriptor" in one.receive(), True)
            said = [entry["MESSAGE"] for entry in journal(after, _COMM="porterd")]
            taken = [text for text in said if text.startswith("Took up ")]
            equal(len(taken), 2, f"workers that took some up: {said}")
            equal(sum(int(text.split()[2]) for text in taken), 250, f"connections: {taken}")
        # Nobody holds what was left for the workers of the first moment.
        os.kill(children()[0], signal.SIGKILL)
        wait_until(lambda: len(children()) == 2, "another is there")
        close_all(clients + callers)
        wait_until(lambda: prop("porterd.service", "StatusText").startswith("connections: 0,"), "all have ended")
        equal(prop("porterd.service", "NFileDescriptorStore"), "0", "what systemd still holds")


@test
def systemd_stops_and_starts_all_of_them():
    with workers():
        data = os.urandom(100000)
        clients = connected(40)
        for one in clients:
            one.sendall(data)
        started = time.monotonic()
        systemctl("stop", "porterd.service")
        equal(time.monotonic() - started < 10, True, "in good time")
        for one in clients:
            equal(client.read_exactly(one, len(data)) == data, True, "what was received is answered")
            equal(one.recv(1), b"", "the end")
        equal(prop("porterd.service", "Result"), "success")
        close_all(clients)
        equal(client.echo(ECHO, b"x"), b"x")
        equal(len(wait_until(lambda: len(children()) == 2 and children(), "two")), 2)


@test
def workers_that_crash_with_their_supervisor_come_back():
    with workers():
        pids = children()
        os.kill(main_pid("porterd.service"), signal.SIGKILL)
        # As long as one of them is there it takes clients, who end with it.
        for pid in pids:
            wait_until(lambda gone=pid: not os.path.exists(f"/proc/{gone}"), f"{pid} has ended")
        equal(client.echo(ECHO, b"x"), b"x")
        equal(len(wait_until(lambda: len(children()) == 2 and children(), "two")), 2)
