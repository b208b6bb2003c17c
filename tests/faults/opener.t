#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The opener's conversation with porterd, in which each system call fails in turn (faults.py)."""

import contextlib
import fcntl
import stat
import struct

from faults import *

OPENER = os.path.join(BUILD, "porterd-opener")
REQUEST, REPLY, LABEL = "=IIQII", "=IIQIIIIII", 64
OPEN, CHECK, LIST = 1, 2, 3
RESULTS = ("OK", "UnknownFile", "NotPermitted", "FileMissing", "WrongType", "UnsafeMode", "TooManyFiles", "Busy",
           "BadRequest")
# For who has read the policy in part, `other` would be everybody's of the group, and `both` anybody's.
POLICY = """
[key]
Description=A key
Path={d}/files/key
Access=read-write
AllowUser={me}

[copied]
Path={d}/files/copied
Access={read}
Deliver=copy
AllowUser={me} root

[created]
Path={d}/files/created
Access=append
Create=yes
Mode=0640
AllowUser={me}

[device]
Path=/dev/null
Type=device
Access=read-write
AllowUser={me}

[socket]
Path={d}/files/socket
Type=socket
Access=read-write
AllowUser={me}

[within]
Path={d}/files/live/link
Within={d}/files
Access=read-write
AllowUser={me}

[other]
Path={d}/files/key
Access=read-write
AllowUser=4242
AllowGroup={group}

[both]
Path={d}/files/key
Access=read-write
AllowGroup=4242
AllowUnit=nobody-has-this.service
AllowUser={me}

[gone]
Path={d}/files/gone
Access=read-write
AllowUser={me}
{more}
"""
NEW = """
[new]
Path={d}/files/key
Access=read-write
AllowUser={me}
"""
SECRET, COPIED, BEHIND = b"the secret", b"copied", b"behind the link"
ME = os.geteuid()


class Opener(Conversation):
    def __init__(self):
        super().__init__()
        self.config = self.make("config")
        files = self.make("files")
        self.make("files/live")
        self.make("files/archive")
        for name, text in (("files/key", SECRET), ("files/copied", COPIED), ("files/archive/file", BEHIND)):
            with open(self.path(name), "wb") as file:
                file.write(text)
            os.chmod(self.path(name), 0o600)
        os.symlink("../archive/file", os.path.join(files, "live/link"))
        self.target = socket.socket(socket.AF_UNIX)
        self.target.bind(self.path("files/socket"))
        self.target.listen(64)
        self.target.setblocking(False)
        self.sockets = []
        self.client = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name):
        os.mkdir(self.path(name), 0o755)
        return self.path(name)

    def write_policy(self, more=""):
        text = POLICY.replace("{more}", more).format(d=self.directory, me=ME, group=os.getegid(),
                                                     read="read" if ME == 0 else "read-write")
        with open(os.path.join(self.config, "new"), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.rename(os.path.join(self.config, "new"), os.path.join(self.config, "files.conf"))

    def start(self, plan, fault):
        self.forget()
        self.lost = None
        self.write_policy()
        if os.path.exists(self.path("files/created")):
            os.unlink(self.path("files/created"))
        for name, kind in (("opener", SEQPACKET), ("porterd", STREAM)):
            one = socket.socket(socket.AF_UNIX, kind)
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
            one.bind(self.path(name))
            one.listen(64)
            self.sockets.append(one)
        # A client as porterd would have accepted it, and its own end.
        end = socket.socket(socket.AF_UNIX)
        end.connect(self.path("porterd"))
        self.sockets += [end, self.sockets[1].accept()[0]]
        self.client = self.sockets[3]
        return Daemon(self.directory, OPENER, [f"--config-dir={self.config}"], [("opener", self.sockets[0])], plan,
                      fault)

    def forget(self):
        for one in self.sockets:
            one.close()
        self.sockets = []

    def check(self, daemon):
        """Where the policy could not be read, nothing is granted."""
        if refuse(self, daemon) != "served" or refuse_both(self, daemon) != "served":
            return False
        return open_key(self, daemon) == (self.lost or "served")

    def after(self, daemon, step, fault):
        super().after(daemon, step, fault)
        left = {*os.listdir(self.path("files"))} - {"key", "copied", "created", "socket", "live", "archive"}
        if left:
            raise Wrong(f"it left {left}")

    def close(self):
        self.forget()
        self.target.close()
        super().close()


def ask(talk, daemon, operation, labels, judge):
    """One request on a connection of its own; judge(text, descriptors) says whether what came is right."""
    packet = struct.pack(REQUEST, 1, operation, 7, len(labels), 0) + \
        b"".join(label.encode().ljust(LABEL, b"\0") for label in labels)
    with socket.socket(socket.AF_UNIX, SEQPACKET) as porterd:
        porterd.settimeout(PATIENCE)
        porterd.connect(talk.path("opener"))
        daemon.mark()
        try:
            if not send_fds(porterd, packet, [talk.client.fileno()]):
                raise Wrong("descriptors don't go through")
        except (BrokenPipeError, ConnectionResetError):
            return "closed"
        if not daemon.wait_for(porterd):
            if daemon.has_ended():
                raise Ended
            raise Wrong("no reply")
        try:
            data, fds = receive_fds(porterd)
        except ConnectionResetError:
            return "closed"
        try:
            if not data:
                return "closed"
            _, echoed, serial, result, _, count, _, size, _ = struct.unpack(REPLY, data[:40])
            if (echoed, serial, size) != (operation, 7, len(data) - 40) or (fds and (result or count != len(fds))):
                raise Wrong(f"a faulty reply: {data}")
            return judge(data[40:].decode(), fds) if result == 0 else "told " + RESULTS[result]
        finally:
            for fd in fds:
                os.close(fd)


def content(fd):
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    try:
        return os.pread(reader, 100, 0)
    finally:
        os.close(reader)


def opens(*labels):
    """Asks for files; what they must be follows from their names."""
    def is_right(talk, label, fd):
        status = os.fstat(fd)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if label == "key":
            return content(fd) == SECRET
        if label == "copied":
            sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            return content(fd) == COPIED and sealed & fcntl.F_SEAL_WRITE and sealed & fcntl.F_SEAL_SEAL
        if label == "created":
            same = os.stat(talk.path("files/created"))
            return (status.st_ino, stat.S_IMODE(status.st_mode), status.st_uid, status.st_size,
                    flags & os.O_APPEND) == (same.st_ino, 0o640, ME, 0, os.O_APPEND)
        if label == "device":
            return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat("/dev/null").st_rdev
        if label == "socket":
            with socket.socket(fileno=os.dup(fd)) as one, talk.target.accept()[0] as other:
                other.send(b"hello")
                return one.recv(9) == b"hello"
        return label == "within" and content(fd) == BEHIND

    def judge(talk, fds):
        if len(fds) != len(labels) or not all(map(is_right, [talk] * len(fds), labels, fds)):
            raise Wrong("it handed out something else")
        return "served"

    def step(talk, daemon):
        try:
            return ask(talk, daemon, OPEN, labels, lambda _, fds: judge(talk, fds))
        finally:
            # Connections of those that were opened in vain.
            with contextlib.suppress(BlockingIOError):
                while True:
                    talk.target.accept()[0].close()
    return step


def refuses(label, why="NotPermitted"):
    def judge(text, fds):
        raise Wrong(f"{label} was not refused")

    def step(talk, daemon):
        got = ask(talk, daemon, OPEN, [label], judge)
        return "served" if got in ("told " + why, talk.lost) else got
    return step


def lists(talk, daemon):
    def judge(text, fds):
        # Of a client who may have left nothing is said.
        if not text:
            return "told nothing"
        names = {*text.split("\0")[0::3]} - {""}
        if names != {"key", "copied", "created", "device", "socket", "within", "gone"}:
            raise Wrong(f"the list has {names}")
        return "served"
    return ask(talk, daemon, LIST, [], judge)


def starts(talk, daemon):
    """A policy that can't be read grants nothing, and that is said."""
    talk.hears_ready(daemon)
    talk.plan.end()
    got = open_key(talk, daemon)
    if got != "served":
        if got not in ("told UnknownFile", "told NotPermitted") or "9 files may be granted" in daemon.log():
            raise Wrong(f"the policy was lost, unsaid: {got}")
        talk.lost = got
        return "served without files"
    return got


def reloads(talk, daemon):
    """The new policy or the old one, and nothing of both."""
    talk.write_policy(NEW)
    daemon.states()
    os.kill(daemon.pid, signal.SIGHUP)
    talk.hears_ready(daemon)
    talk.plan.end()
    kept = "The policy was not changed" in daemon.log()
    got = ask(talk, daemon, CHECK, ["new"], lambda text, fds: "served")
    # Nothing is there any more, as far as it was told.
    if got == "told UnknownFile" and "0 files may be granted" in daemon.log():
        talk.lost = got
        return "served without files"
    if got != ("told UnknownFile" if kept else "served"):
        raise Wrong(f"what is new: {got}")
    return "kept" if kept else "served"


open_key, refuse, refuse_both = opens("key"), refuses("other"), refuses("both")
Opener.steps = {
    "start": starts,
    "open": open_key,
    "copy": opens("copied"),
    "create": opens("created"),
    "device": opens("device"),
    "socket": opens("socket"),
    "within": opens("within"),
    "open many": opens("key", "within", "copied", "device"),
    "check": lambda talk, daemon: ask(talk, daemon, CHECK, ["key"], lambda text, fds: "served"),
    "list": lists,
    "refuse": refuse,
    "missing": refuses("gone", "FileMissing"),
    "reload": reloads,
    "stop": None,
}

tests_of(Opener)
