#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Killed under load: whoever waits for the opener gets an answer, and nobody gets another's. In a booted system, as
systemd starts what was killed: tests/system/inside/test_crash.py."""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import *

OPENER = os.path.join(BUILD, "porterd-opener")
CRASHES = int(os.environ.get("CRASHES", "10"))
CLIENTS = 6
FILES = 4
UNAVAILABLE = {"error": "io.porterd.Files.OpenerUnavailable"}


class Kept:
    """A program whose listening socket is kept here, as systemd does, when it is killed and started anew."""

    def __init__(self, path, kind, name, command):
        self.name, self.command = name, command
        with socket.socket(socket.AF_UNIX, kind) as one:
            # Out of the way: in the program it is to be 3.
            self.listener = socket.socket(fileno=fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 100))
        self.listener.bind(path)
        self.listener.listen(4096)
        self.log = tempfile.TemporaryFile()
        self.process = None

    def start(self):
        environment = dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES=self.name)
        environment.pop("JOURNAL_STREAM", None)
        self.process = subprocess.Popen(["/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *self.command],
                                        env=environment, close_fds=False, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=lambda: os.dup2(self.listener.fileno(), 3))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(PATIENCE), 0, f"exit status of {self.name}")
        self.listener.close()
        self.log.seek(0)
        said = self.log.read().decode(errors="replace")
        if "Sanitizer" in said or "runtime error" in said:
            raise AssertionError(said[:5000])


class World:
    """Both programs, and files that hold their names."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="porterd-crash-")
        os.chmod(self.directory, 0o755)
        policy = ""
        for client in range(CLIENTS + 1):
            for number in range(FILES):
                path = os.path.join(self.directory, f"f{client}-{number}")
                with open(path, "w") as file:
                    file.write(f"f{client}-{number}")
                os.chmod(path, 0o600)
                policy += f"[f{client}-{number}]\nPath={path}\nAccess=read-write\nAllowUser={os.geteuid()}\n"
        with open(os.path.join(self.directory, "files.conf"), "w") as file:
            file.write(policy)
        os.chmod(os.path.join(self.directory, "files.conf"), 0o644)
        self.path, opener = os.path.join(self.directory, "s"), os.path.join(self.directory, "opener")
        self.opener = Kept(opener, SEQPACKET, "opener", [OPENER, f"--config-dir={self.directory}"])
        self.porterd = Kept(self.path, STREAM, "varlink", [PORTERD, f"--opener={opener}"])
        self.opener.start()
        self.porterd.start()
        return self

    def connect(self):
        return Varlink(connect(self.path))

    def __exit__(self, kind, *_):
        for program in (self.porterd, self.opener):
            if kind is not None:
                program.kill()
                program.log.seek(0)
                for line in program.log.read().decode(errors="replace").splitlines()[-20:]:
                    print(f"# log: {line}")
            else:
                program.stop()
        shutil.rmtree(self.directory)


class Asker(threading.Thread):
    """Asks for its own files without end; what must not be is kept for who joins it."""

    def __init__(self, world, number, may_lose):
        super().__init__(daemon=True)
        self.world, self.number, self.may_lose = world, number, may_lose
        self.answers = self.unavailable = self.lost = 0
        self.stopping, self.error = False, None

    def run(self):
        client = None
        try:
            while not self.stopping:
                client = client or self.world.connect()
                try:
                    self.ask(client)
                except (EOFError, ConnectionResetError, BrokenPipeError):
                    if not self.may_lose:
                        raise
                    self.lost += 1
                    client.client.close()
                    client = None
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def ask(self, client):
        names = [f"f{self.number}-{random.randrange(FILES)}" for _ in range(random.choice((1, 3)))]
        reply = client.call("io.porterd.Files.OpenMany", {"files": names})
        if reply is None:
            raise EOFError
        got = [os.pread(fd, 100, 0).decode() for fd in client.fds]
        for fd in client.fds:
            os.close(fd)
        client.fds = []
        if reply == UNAVAILABLE:
            equal(got, [], "descriptors of an error")
            self.unavailable += 1
            return
        equal(reply, {"parameters": {"descriptors": list(range(len(names)))}})
        equal(got, names, "whose descriptors they are")
        self.answers += 1

    def stop(self):
        self.stopping = True
        self.join(2 * PATIENCE)
        if self.error:
            raise self.error
        equal(self.is_alive(), False, "still waiting")


class Leaver(Asker):
    """Goes before the answer comes, which must not be the next one's then."""

    def ask(self, client):
        client.send("io.porterd.Files.Open", {"file": f"f{self.number}-0"})
        time.sleep(0.001)
        client.client.close()
        raise BrokenPipeError


def under_load(world, victim, may_lose):
    askers = [Asker(world, number, may_lose) for number in range(CLIENTS)] + [Leaver(world, CLIENTS, True)]
    for one in askers:
        one.start()
    for _ in range(CRASHES):
        before = [one.answers for one in askers]
        eventually(lambda then=before: sum(one.answers for one in askers) > sum(then) + CLIENTS or
                   any(one.error for one in askers), "answers after a crash")
        time.sleep(random.uniform(0, 0.02))
        victim.kill()
        time.sleep(random.uniform(0, 0.02))
        victim.start()
    time.sleep(0.1)
    for one in askers:
        one.stop()
    sums = [sum(getattr(one, name) for one in askers) for name in ("answers", "unavailable", "lost")]
    print("# {} answers, {} without the opener, {} connections lost or left".format(*sums), flush=True)
    return sums


def skip_where_slow():
    if under_valgrind():
        raise Skip("what takes so long under valgrind is not killed in time")


@test
def the_opener_is_killed():
    skip_where_slow()
    with World() as world:
        _, unavailable, _ = under_load(world, world.opener, False)
        equal(unavailable > 0, True, "somebody waited for an opener that was killed")


@test
def the_daemon_is_killed():
    skip_where_slow()
    with World() as world:
        _, unavailable, lost = under_load(world, world.porterd, True)
        equal(unavailable, 0, "answers that the opener was not there")
        equal(lost >= CRASHES, True, "connections were lost")


main()
