"""The package is upgraded, then goes: nothing of it runs or listens any more. These tests come last."""

import os
import pathlib
import signal
import threading

import client
from harness import (ON_REQUEST, POLICIES, SERVICES, SOCKETS, drop_in, equal, install, main_pid, package,
                     processes, prop, remove, run, state, systemctl, test, wait_until)

ECHO = "/run/porterd/echo"
# Where a package may leave something; /usr/lib is below /usr in every release.
PLACES = ("/etc", "/usr", "/var")


class Visitor(threading.Thread):
    """Comes again and again until it is stopped, and counts what becomes of it."""

    def __init__(self):
        super().__init__()
        self.done = threading.Event()
        self.served, self.refused, self.closed = 0, [], 0

    def run(self):
        while not self.done.is_set():
            try:
                with client.connect(ECHO) as stream:
                    self.talk(stream)
            except OSError as error:
                self.refused.append(repr(error))

    def talk(self, stream):
        try:
            stream.sendall(b"x")
            came_back = stream.recv(1) == b"x"
        except ConnectionError:
            came_back = False
        # Whom the old daemon had accepted already, it may leave behind.
        self.served, self.closed = self.served + came_back, self.closed + (not came_back)

    def stop(self):
        self.done.set()
        self.join()


@test
def an_upgrade_refuses_nobody_who_comes_meanwhile():
    visitor = Visitor()
    visitor.start()
    try:
        wait_until(lambda: visitor.served, "somebody is served before the upgrade")
        before, pid = visitor.served, main_pid("porterd.service")
        install()
        wait_until(lambda: main_pid("porterd.service") not in (0, pid), "another daemon runs")
        after = visitor.served
        wait_until(lambda: visitor.served > after, "somebody is served after the upgrade")
    finally:
        visitor.stop()
    equal(visitor.refused, [], "refused")
    equal(after > before, True, "somebody is served during the upgrade")
    equal(visitor.closed <= 1, True, f"{visitor.closed} left behind, {visitor.served} served")


@test
def an_upgrade_serves_whoever_waits_in_the_sockets():
    drop_in("porterd.service", "[Service]\nWatchdogSec=0\n")
    equal(client.echo(ECHO, b"x"), b"x")
    pid = main_pid("porterd.service")
    listening = [prop(unit, "ActiveEnterTimestampMonotonic") for unit in SOCKETS]
    # Stopped like this, the old daemon accepts nobody any more.
    os.kill(pid, signal.SIGSTOP)
    with client.connect(ECHO) as waiting, client.Varlink() as varlink:
        waiting.sendall(b"still here")
        varlink.send("io.porterd.Credentials.Get")
        install()
        equal(client.read_exactly(waiting, 10), b"still here")
        equal(varlink.receive()["credentials"]["uid"], 0)
    equal(main_pid("porterd.service") not in (0, pid), True, "the daemon is another process")
    equal([prop(unit, "ActiveEnterTimestampMonotonic") for unit in SOCKETS], listening,
          "since when the sockets listen")


@test
def an_upgrade_restarts_what_runs_and_nothing_else():
    client.call("io.porterd.Files.List")
    opener = main_pid("porterd-opener.service")
    install()
    equal(main_pid("porterd-opener.service") not in (0, opener), True, "the opener is another process")
    for unit in ON_REQUEST:
        equal(state(unit), "inactive", unit)
    systemctl("stop", *SERVICES)
    install()
    for unit in SERVICES:
        equal(state(unit), "inactive", unit)


@test
def an_upgrade_leaves_isolated_clients_alone():
    systemctl("start", *ON_REQUEST[1:])
    with client.Varlink(client.ISOLATED) as isolated:
        isolated.call("io.porterd.Credentials.Get")
        install()
        equal(isolated.call("io.porterd.Credentials.Get")["credentials"]["uid"], 0)
    for unit in ON_REQUEST[1:]:
        equal(state(unit), "active", unit)


def leftovers():
    """Files of ours below PLACES, but not what apt, man and the journal keep of us."""
    passed_over = ["/var/cache/apt", "/var/cache/man", "/var/lib/apt", "/var/log/journal"]
    pruned = [word for path in passed_over for word in ("-path", path, "-prune", "-o")]
    return sorted(run("find", *PLACES, "-xdev", *pruned, "(", "-name", "*porterd*", "-o",
                      "-name", "*porterctl*", ")", "-print").stdout.splitlines())


@test
def removal_stops_everything():
    package()
    systemctl("start", *ON_REQUEST)
    with client.Varlink() as _, client.Varlink(client.ISOLATED) as isolated, \
         client.connect("/run/porterd/isolated/echo") as echo:
        echo.sendall(b"x")
        equal(echo.recv(1), b"x")
        isolated.call("io.porterd.Credentials.Get")
        client.call("io.porterd.Files.List")
        equal(len(processes()), 4, "processes before")
        remove("--remove")
        equal(processes(), [], "processes")
    for unit in [*SOCKETS, *ON_REQUEST, *SERVICES]:
        equal(state(unit), "inactive", unit)
    equal([str(path) for path in pathlib.Path("/run").glob("porterd*/**/*") if path.is_socket()],
          [], "sockets")
    equal(systemctl("--failed", "--plain", "--no-legend").stdout, "", "failed units")
    install()
    equal(client.echo(ECHO, b"back"), b"back")


@test
def purge_leaves_the_users_files_and_no_other():
    package()
    POLICIES.mkdir(parents=True)
    mine = POLICIES / "mine.conf"
    mine.write_text("# mine\n")
    client.call("io.porterd.Files.List")
    systemctl("enable", "--now", "porterd-isolated.socket")
    remove("--purge")
    equal(processes(), [], "processes")
    equal(leftovers(), ["/etc/porterd"], "files")
    equal(mine.read_text(), "# mine\n", "the user's file")
    mine.unlink()
    POLICIES.rmdir()
    POLICIES.parent.rmdir()
    install()
    remove("--purge")
    equal(leftovers(), [], "files")
    install()
    equal(state("porterd-isolated.socket"), "inactive", "what was enabled before the purge")
