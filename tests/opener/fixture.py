# SPDX-License-Identifier: MIT
"""What the tests of the whole opener share: the program, started as systemd does it, and asked as porterd does it."""

import array
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

_ROOT = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(_ROOT, "tests", "integration"))

from harness import *  # noqa: E402

OPENER = os.path.join(BUILD, "porterd-opener")
REQUEST, REPLY, LABEL = "=IIQII", "=IIQIIIIII", 64
OPEN, CHECK, LIST = 1, 2, 3
OK, UNKNOWN, NOT_PERMITTED, MISSING, BUSY, BAD_REQUEST = 0, 1, 2, 3, 7, 8
ME = os.getuid()


def contains(text, part):
    if part not in text:
        raise AssertionError(f"{part!r} is not in {text!r}")


class Opener:
    """The program, with its sockets, policy, clients and what it says."""

    def __init__(self, policy="", name="opener", kinds=(SEQPACKET,), listen=True, options=(),
                 wait=True, limit=None, errors=None, front=()):
        self.directory = tempfile.mkdtemp(prefix="porterd-test-")
        self.write_policy(policy)
        self.notify = socket.socket(socket.AF_UNIX, DATAGRAM)
        self.notify.bind(self.path("notify"))
        self.notify.settimeout(PATIENCE)
        self.sockets = []
        for number, kind in enumerate(kinds):
            one = socket.socket(socket.AF_UNIX, kind)
            one.bind(self.path(f"opener{number}"))
            if listen and kind != DATAGRAM:
                one.listen(4096)
            self.sockets.append(one)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path("porterd"))
        self.listener.listen(16)
        self.said = ""
        self.states = []
        # Appended to: the process shares its place in it, which reading moves.
        self.errors = errors or tempfile.TemporaryFile("a+")
        self.front = front
        self.start(name, options, limit)
        if wait:
            self.state("READY=1")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write_policy(self, text, name="files.conf"):
        with open(self.path(name + ".new"), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.rename(self.path(name + ".new"), self.path(name))

    def start(self, name="opener", options=(), limit=None):
        """As systemd does it: the sockets are 3 and on, LISTEN_PID is the process's own."""
        fds = [one.fileno() for one in self.sockets]

        def become_a_service():
            # Out of the way first: one of them may be what another is to become.
            for number, fd in enumerate([os.dup(fd) for fd in fds]):
                os.dup2(fd, 100 + number)
            for number in range(len(fds)):
                os.dup2(100 + number, 3 + number)
                os.close(100 + number)
            os.environ.pop("JOURNAL_STREAM", None)
            os.environ.update(NOTIFY_SOCKET=self.path("notify"), LISTEN_PID=str(os.getpid()),
                              LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join([name] * len(fds)))
            if limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        self.process = subprocess.Popen([*self.front, OPENER, f"--config-dir={self.directory}", *options], close_fds=False,
                                        stdin=subprocess.DEVNULL, stderr=self.errors,
                                        preexec_fn=become_a_service)

    def state(self, part):
        """Waits for a message to the service manager that holds this; returns it."""
        while True:
            message = self.notify.recv(4096).decode()
            self.states.append(message)
            if part in message:
                return message

    def says(self, part):
        """Waits until it has said so in its log."""
        def said():
            self.errors.seek(0)
            self.said = self.errors.read()
            return part in self.said
        eventually(said, f"the opener says {part!r}")
        return self.said

    def fds(self):
        """How many it holds when it is at rest."""
        return at_rest(lambda: len(fd_numbers(self.process.pid)))

    def connect(self):
        one = socket.socket(socket.AF_UNIX, SEQPACKET)
        one.settimeout(PATIENCE)
        one.connect(self.path("opener0"))
        return one

    def client(self):
        """A connection as porterd would have accepted it, and the client's end."""
        end = socket.socket(socket.AF_UNIX)
        end.connect(self.path("porterd"))
        return self.listener.accept()[0], end

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        contains(self.state("RELOADING=1"), "MONOTONIC_USEC=")
        self.state("READY=1")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        status = self.process.wait(PATIENCE)
        self.errors.seek(0)
        self.said = self.errors.read()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for one in [*self.sockets, self.listener, self.notify]:
            one.close()
        shutil.rmtree(self.directory)


def request(operation, labels=(), serial=7, cursor=0):
    return struct.pack(REQUEST, 1, operation, serial, len(labels), cursor) + \
        b"".join(label.encode().ljust(LABEL, b"\0") for label in labels)


def ask(connection, packet, client):
    send(connection, packet, client)
    return receive(connection)


def send(connection, packet, client):
    connection.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                   array.array("i", [client.fileno()]))])


def receive(connection):
    data, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
    fds = array.array("i")
    for _, _, content in control:
        fds.frombytes(content)
    if not data:
        raise EOFError
    _, operation, serial, result, index, count, cursor, size, _ = struct.unpack(REPLY, data[:40])
    text = data[40:]
    equal(len(text), size, "text")
    return {"operation": operation, "serial": serial, "result": result, "index": index, "count": count,
            "cursor": cursor, "text": text.decode(), "fds": list(fds)}


def grant(name, path, *lines, user=ME):
    """For whoever owns the file, as this user does: unless that is root, reading alone is unsafe."""
    if not any(line.startswith("Access=") for line in lines):
        lines = ("Access=read-write", *lines)
    return "\n".join([f"[{name}]", f"Path={path}", f"AllowUser={user}", *lines]) + "\n"


def some_file():
    file = tempfile.NamedTemporaryFile("w")
    file.write("content")
    file.flush()
    return file
