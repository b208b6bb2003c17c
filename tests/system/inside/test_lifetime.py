"""Stopping, failing, idling: what was received is answered, and the next client is served."""

import os
import random
import signal
import socket
import time

import client
from harness import (SERVICES, alone, drop_in, equal, grant, main_pid, policy, prop, raises, run, secret, state,
                     systemctl, test, unit_file, wait_until)

ECHO = "/run/porterd/echo"
HANGING = "[Service]\nWatchdogSec=1s\nRestartSec=50ms\n"
RACES = 20
RACES_EACH = 10


@test
def a_stop_answers_what_was_received():
    data = os.urandom(100000)
    with client.connect(ECHO) as stream, client.Varlink() as varlink, \
         client.connect(f"{ECHO}.seqpacket", socket.SOCK_SEQPACKET) as packets:
        stream.sendall(b"x")
        equal(stream.recv(1), b"x")
        varlink.call("io.porterd.Credentials.Get")
        packets.send(b"x")
        equal(packets.recv(1), b"x")
        # Stopped, the daemon answers nothing before it is told to end: systemd
        # sends SIGCONT right after SIGTERM.
        os.kill(main_pid("porterd.service"), signal.SIGSTOP)
        stream.sendall(data)
        varlink.send("io.porterd.Credentials.Get")
        packets.send(b"packet")
        systemctl("stop", "porterd.service")
        equal(client.read_exactly(stream, len(data)) == data, True, "the stream came back")
        equal(stream.recv(1), b"", "the stream ends")
        equal(varlink.receive()["credentials"]["uid"], 0, "the call is answered")
        equal(packets.recv(100), b"packet")
    equal(prop("porterd.service", "Result"), "success", "result")


@test
def a_stopped_daemon_ends_with_success():
    client.echo(ECHO, b"x")
    systemctl("stop", "porterd.service")
    equal((prop("porterd.service", "Result"), prop("porterd.service", "ExecMainStatus"),
           prop("porterd.service", "ExecMainCode")), ("success", "0", "1"))


@test
def the_next_client_after_a_stop_is_served():
    for _ in range(10):
        equal(client.echo(ECHO, b"x"), b"x")
        systemctl("stop", "porterd.service")
    equal(client.echo(ECHO, b"x"), b"x")


@test
def a_killed_daemon_comes_back():
    # Again and again, under load: test_crash.
    equal(client.echo(ECHO, b"x"), b"x")
    pid = main_pid("porterd.service")
    os.kill(pid, signal.SIGKILL)
    equal(client.echo(ECHO, b"y"), b"y")
    equal(main_pid("porterd.service") != pid, True, "another process")


@test
def a_killed_opener_comes_back():
    policy(grant("key", secret("key"), "AllowUser=root"))
    with client.Varlink() as varlink:
        varlink.open("key").close()
        pid = main_pid("porterd-opener.service")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: main_pid("porterd-opener.service") != pid, "gone")
        varlink.open("key").close()


@test
@alone
def a_daemon_that_hangs_is_restarted_by_the_watchdog():
    drop_in("porterd.service", HANGING)
    equal(client.echo(ECHO, b"x"), b"x")
    os.kill(main_pid("porterd.service"), signal.SIGSTOP)
    started = time.monotonic()
    equal(client.echo(ECHO, b"y"), b"y")
    equal(time.monotonic() - started < 5, True, "in good time")
    equal((prop("porterd.service", "NRestarts"), prop("porterd.service", "Result")), ("1", "success"))


@test
@alone
def an_opener_that_hangs_is_restarted_by_the_watchdog():
    policy(grant("key", secret("key"), "AllowUser=root"))
    for unit in SERVICES:
        drop_in(unit, HANGING)
    with client.Varlink() as asks, client.Varlink() as other:
        asks.open("key").close()
        time.sleep(1.5)
        equal([prop(unit, "NRestarts") for unit in SERVICES], ["0", "0"], "restarts of what does not hang")
        os.kill(main_pid("porterd-opener.service"), signal.SIGSTOP)
        started = time.monotonic()
        asks.send("io.porterd.Files.Open", {"file": "key"})
        equal(other.call("io.porterd.Credentials.Get")["credentials"]["uid"], 0, "who does not ask for a file")
        # Who has asked the one that hangs is told so when it is gone, and the next one answers.
        equal(raises(client.VarlinkError, asks.receive).name, "OpenerUnavailable")
        asks.open("key").close()
        equal(time.monotonic() - started < 5, True, "in good time")
    equal(prop("porterd-opener.service", "NRestarts"), "1")


@test
def a_daemon_that_fails_at_every_start_does_not_spin():
    drop_in("porterd.service", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    with client.connect(ECHO) as waiting:
        waiting.sendall(b"x")
        time.sleep(5)
        starts = int(prop("porterd.service", "NRestarts"))
        equal(2 <= starts <= 8, True, f"{starts} starts in 5 s")
        equal(state("porterd-echo.socket"), "active", "the socket")
        # Once it is repaired the client that waited all the time is served.
        run("rm", "/run/systemd/system/porterd.service.d/test.conf")
        systemctl("daemon-reload")
        waiting.settimeout(10)
        equal(waiting.recv(1), b"x")


@test
def the_daemon_ends_when_it_idles():
    idle("porterd.service", 1)
    equal(client.echo(ECHO, b"x"), b"x")
    wait_until(lambda: state("porterd.service") == "inactive", "exit on idle")
    equal(prop("porterd.service", "Result"), "success")
    equal(state("porterd.socket"), "active")
    equal(client.echo(ECHO, b"x"), b"x")


@test
def a_connection_keeps_the_daemon():
    idle("porterd.service", 1)
    with client.connect(ECHO) as connection:
        time.sleep(2.5)
        equal(state("porterd.service"), "active")
        connection.sendall(b"x")
        equal(connection.recv(1), b"x")


def idle(unit, seconds):
    drop_in(unit, f"[Service]\nExecStart=\nExecStart=/usr/sbin/porterd --exit-idle={seconds}\n")


@test
def two_hundred_clients_at_the_moment_of_exit_are_served():
    # Many daemons side by side, so that 200 such moments don't take 200 s.
    unit_file("porterd-race@.socket", "[Socket]\nListenStream=/run/porterd-race/%i\nRemoveOnStop=yes\n"
              "FileDescriptorName=echo\n")
    unit_file("porterd-race@.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\n"
              "User=porterd\nExecStart=/usr/sbin/porterd --exit-idle=1\n")
    systemctl("daemon-reload")
    names = [str(number) for number in range(RACES)]
    systemctl("start", *[f"porterd-race@{name}.socket" for name in names])
    due = {name: 0.0 for name in names}
    rounds = {name: 0 for name in names}
    served = 0
    while due:
        name = min(due, key=due.get)
        time.sleep(max(0, due[name] - time.monotonic()))
        equal(client.echo(f"/run/porterd-race/{name}", b"x"), b"x", f"{name} is served")
        served += 1
        # The daemon's timer may be late by a quarter of a second, so that the
        # kernel wakes up once for many: the clients are spread over that time.
        due[name] = time.monotonic() + random.uniform(0.99, 1.28)
        rounds[name] += 1
        if rounds[name] > RACES_EACH:
            del due[name]
    equal(served >= RACES * RACES_EACH, True, f"{served} clients")
    restarts = run("journalctl", "-b", "-o", "cat", "-u", "porterd-race@*.service", "--grep",
                   "^Started|^Finished|Deactivated successfully").stdout.count("Deactivated")
    print(f"# {restarts} of {served} clients came after an exit")
    equal(RACES // 2 < restarts < served, True, f"{restarts} exits")
