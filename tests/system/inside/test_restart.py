"""A restart keeps connections, what was under way in them, and those who asked. A stop keeps none."""

import os
import signal
import socket
import threading
import time

import client
from conversations import ECHO, Conversations
from harness import (alone, cursor, drop_in, equal, grant, install, journal, main_pid, policy, prop, secret, state,
                     systemctl, test, wait_until)

RESTARTS = 20
STREAMS = 120
PACKETS = 80
CALLERS = 20


class Caller(threading.Thread):
    """Calls on one connection until it is told to end; each answer has to be its own."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number = number
        self.varlink = client.Varlink()
        self.served = 0
        self.ending = False
        self.error = None
        self.start()

    def run(self):
        try:
            while not self.ending:
                self.ask()
        except (AssertionError, OSError, EOFError, client.VarlinkError, TimeoutError) as error:
            self.error = error

    def ask(self):
        name = f"own-{self.number}"
        with self.varlink.open(name) as file:
            equal(file.read(), f"{name}\n".encode())
        # Several at once: those that porterd has received and not looked at go along, too.
        for _ in range(3):
            self.varlink.send("io.porterd.Credentials.Check", {"users": [f"{self.number}"]})
        self.varlink.send("io.porterd.Files.Check", {"file": name})
        for _ in range(3):
            equal("satisfied" in self.varlink.receive(), True)
        equal(self.varlink.receive()["permitted"], True)
        self.served += 1

    def finish(self):
        self.ending = True
        self.join(60)
        if self.error or self.is_alive():
            raise AssertionError(f"caller {self.number}: {self.error or 'waits for an answer'}")
        self.varlink.socket.setblocking(False)
        try:
            raise AssertionError(f"after the last answer: {self.varlink.socket.recv(10)!r}")
        except BlockingIOError:
            pass


def own_files():
    policy("\n".join(grant(f"own-{i}", secret(f"own-{i}", f"own-{i}\n"), "AllowUser=root")
                     for i in range(CALLERS)))


def restart(unit="porterd.service"):
    pid = main_pid(unit)
    systemctl("restart", unit)
    equal(main_pid(unit) not in (0, pid), True, "another process")


@test
@alone
def restarts_lose_nothing():
    own_files()
    conversations = Conversations(STREAMS, PACKETS)
    callers = [Caller(i) for i in range(CALLERS)]
    for _ in range(RESTARTS):
        before = [caller.served for caller in callers]
        rounds = conversations.rounds
        wait_until(lambda b=before, r=rounds: conversations.error or (
            all(c.error or c.served > b for c, b in zip(callers, b)) and conversations.rounds > r + 5),
                   "everybody is served", 60)
        restart()
    for caller in callers:
        caller.finish()
    conversations.finish()
    equal(prop("porterd.service", "Result"), "success", "result")


@test
def the_next_daemon_lets_go_of_whom_it_took_up():
    with client.connect(ECHO) as stream:
        stream.sendall(b"x")
        equal(stream.recv(1), b"x")
        restart()
        stream.sendall(b"y")
        equal(stream.recv(1), b"y")
        stream.shutdown(socket.SHUT_WR)
        equal(stream.recv(1), b"", "the end")
    equal(prop("porterd.service", "NFileDescriptorStore"), "0", "what systemd still holds")


@test
def whoever_has_said_all_is_still_answered():
    data = os.urandom(600_000)
    with client.connect(ECHO) as stream:
        # More than the sockets hold, so some of it waits in porterd, and the end behind it.
        sender = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)))
        sender.start()
        restart()
        equal(client.read_exactly(stream, len(data)) == data, True, "all came back")
        equal(stream.recv(1), b"", "the end")
        sender.join()


@test
def the_kernel_still_knows_who_asks():
    with client.Varlink() as varlink:
        before = varlink.call("io.porterd.Credentials.Get")
        restart()
        equal(varlink.call("io.porterd.Credentials.Get"), before)


@test
def half_a_message_is_completed_after_the_restart():
    call = b'{"method":"io.porterd.Credentials.Check","parameters":{"users":["root"]}}\0'
    with client.Varlink() as varlink:
        varlink.socket.sendall(call[:30])
        wait_until(lambda: unread(varlink.socket) == 0, "porterd has received it")
        restart()
        varlink.socket.sendall(call[30:])
        equal(varlink.receive(), {"satisfied": True, "failed": []})


def unread(sock):
    """Bytes that the other end has not received yet."""
    import array
    import fcntl
    import termios
    size = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, size)
    return size[0]


@test
def a_call_that_waits_for_the_opener_is_answered_once():
    own_files()
    with client.Varlink() as varlink:
        varlink.open("own-0").close()
        opener = main_pid("porterd-opener.service")
        os.kill(opener, signal.SIGSTOP)
        # In one piece: while a call waits, nothing more is received.
        varlink.socket.sendall(b'{"method":"io.porterd.Files.Open","parameters":{"file":"own-1"}}\0'
                               b'{"method":"io.porterd.Files.Check","parameters":{"file":"own-2"}}\0')
        wait_until(lambda: unread(varlink.socket) == 0, "porterd has received it")
        restarting = threading.Thread(target=restart)
        restarting.start()
        restarting.join(60)
        os.kill(opener, signal.SIGCONT)
        index = varlink.receive()["descriptor"]
        equal(os.read(varlink.fds[index], 100), b"own-1\n")
        equal(varlink.receive()["permitted"], True)
        varlink.socket.setblocking(False)
        try:
            raise AssertionError(f"after the last answer: {varlink.socket.recv(10)!r}")
        except BlockingIOError:
            pass


@test
@alone
def thousands_of_connections_are_kept():
    streams = [client.connect(ECHO) for _ in range(4000)]
    restart()
    for stream in streams:
        stream.sendall(b"x")
    for stream in streams:
        equal(stream.recv(1), b"x")
        stream.close()


@test
def what_the_store_does_not_take_ends_as_in_a_stop():
    drop_in("porterd.service", "[Service]\nFileDescriptorStoreMax=0\n")
    systemctl("stop", "porterd.service")
    data = os.urandom(600_000)
    with client.connect(ECHO) as stream, client.Varlink() as varlink:
        # More than the sockets hold: some of it is in porterd.
        stream.setblocking(False)
        sent = quiet = 0
        while quiet < 6:
            try:
                sent += stream.send(data[sent:])
                quiet = 0
            except BlockingIOError:
                time.sleep(0.05)
                quiet += 1
        equal(sent < len(data), True, "it is full")
        stream.settimeout(client.SECONDS)
        varlink.call("io.porterd.Credentials.Get")
        varlink.send("io.porterd.Credentials.Get")
        restarting = threading.Thread(target=restart)
        restarting.start()
        equal(client.read_exactly(stream, sent) == data[:sent], True, "all came back")
        equal(stream.recv(1), b"", "the stream ends")
        equal(varlink.receive()["credentials"]["uid"], 0)
        equal(varlink.socket.recv(1), b"", "the connection ends")
        restarting.join()


@test
def a_stop_and_a_start_keep_nothing():
    after = cursor()
    with client.connect(ECHO) as stream:
        stream.sendall(b"x")
        equal(stream.recv(1), b"x")
        systemctl("stop", "porterd.service")
        equal(stream.recv(1), b"", "the end")
        systemctl("start", "porterd.service")
    equal(prop("porterd.service", "NFileDescriptorStore"), "0", "what systemd holds")
    equal([e for e in journal(after) if "Took up" in e.get("MESSAGE", "")], [], "taken up")


@test
def an_upgrade_keeps_connections():
    conversations = Conversations(10, 10)
    with client.Varlink() as varlink:
        before = varlink.call("io.porterd.Credentials.Get")
        pid = main_pid("porterd.service")
        install()
        wait_until(lambda: state("porterd.service") == "active", "it runs again")
        equal(main_pid("porterd.service") != pid, True, "another process")
        equal(varlink.call("io.porterd.Credentials.Get"), before)
    conversations.finish()
