#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole opener: started with listening sockets as systemd does it, asked as porterd does it."""

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
import time

OPENER = os.path.join(os.environ.get("TOP_BUILDDIR", "."), "porterd-opener")
REQUEST, REPLY, LABEL = "=IIQII", "=IIQIIIIII", 64
OPEN, CHECK, LIST = 1, 2, 3
OK, UNKNOWN, NOT_PERMITTED, MISSING, BUSY, BAD_REQUEST = 0, 1, 2, 3, 7, 8
ME = os.getuid()

tests = []


def test(function):
    tests.append(function)
    return function


class Skip(Exception):
    pass


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r}, not {wanted!r}")


def contains(text, part):
    if part not in text:
        raise AssertionError(f"{part!r} is not in {text!r}")


def wait_until(question, what):
    deadline = time.monotonic() + 20
    while not question():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in time")
        time.sleep(0.02)


class Opener:
    """The program, with its sockets, policy, clients and what it says."""

    def __init__(self, policy="", name="opener", kinds=(socket.SOCK_SEQPACKET,), listen=True, options=(),
                 wait=True, limit=None):
        self.directory = tempfile.mkdtemp(prefix="porterd-test-")
        self.write_policy(policy)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path("notify"))
        self.notify.settimeout(20)
        self.sockets = []
        for number, kind in enumerate(kinds):
            one = socket.socket(socket.AF_UNIX, kind)
            one.bind(self.path(f"opener{number}"))
            if listen and kind != socket.SOCK_DGRAM:
                one.listen(4096)
            self.sockets.append(one)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path("porterd"))
        self.listener.listen(16)
        self.said = ""
        self.states = []
        self.errors = tempfile.TemporaryFile("w+")
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

        self.process = subprocess.Popen([OPENER, f"--config-dir={self.directory}", *options], close_fds=False,
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
        wait_until(said, f"the opener says {part!r}")
        return self.said

    def connect(self):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.settimeout(20)
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
        status = self.process.wait(20)
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


@test
def a_file_is_opened():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        reply = ask(porterd, request(OPEN, ["key"], serial=2 ** 63), accepted)
        equal((reply["result"], reply["serial"], reply["count"]), (OK, 2 ** 63, 1))
        equal(os.read(reply["fds"][0], 100), b"content")
        os.close(reply["fds"][0])
        reply = ask(porterd, request(OPEN, ["other"]), accepted)
        equal((reply["result"], reply["fds"]), (UNKNOWN, []))
        reply = ask(porterd, request(LIST), accepted)
        equal((reply["count"], reply["text"]), (1, "key\0\0read-write\0"))
        said = opener.says("other was refused to uid")
        contains(said, f"key ({file.name}) was opened for read-write for uid {ME}, pid {os.getpid()}")
        equal(opener.stop(), 0, "exit status")


@test
def status_and_states():
    with some_file() as file, Opener(grant("key", file.name) + grant("two", "/none")) as opener:
        contains(opener.states[0], "STATUS=connections: 0, requests: 0, granted: 0, refused: 0, "
                 "dropped-records: 0, files: 2")
        with opener.connect() as porterd:
            accepted, _end = opener.client()
            for label in ("key", "two", "none"):
                ask(porterd, request(OPEN, [label]), accepted)
            opener.state("STATUS=connections: 1, requests: 3, granted: 1, refused: 2, "
                         "dropped-records: 0, files: 2")
        opener.state("connections: 0, requests: 3")
        started, before = time.monotonic(), len(opener.states)
        with opener.connect() as porterd:
            for _ in range(200):
                ask(porterd, request(CHECK, ["key"]), accepted)
            opener.state("requests: 203")
        at_most = 2 + time.monotonic() - started
        if len(opener.states) - before > at_most:
            raise AssertionError(f"more than one status a second: {opener.states}")
        opener.process.send_signal(signal.SIGTERM)
        opener.state("STOPPING=1")
        equal(opener.wait(), 0)


@test
def reload_brings_a_new_policy():
    with some_file() as file, Opener(grant("old", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        opener.write_policy(grant("new", file.name))
        opener.reload()
        equal(ask(porterd, request(CHECK, ["old"]), accepted)["result"], UNKNOWN)
        equal(ask(porterd, request(CHECK, ["new"]), accepted)["result"], OK)

        # One with an error changes nothing, and says where it is.
        opener.write_policy(grant("newer", file.name) + "[wrong]\nPath=relative\nAllowUser=0\n")
        opener.reload()
        equal(ask(porterd, request(CHECK, ["newer"]), accepted)["result"], UNKNOWN)
        equal(ask(porterd, request(CHECK, ["new"]), accepted)["result"], OK)
        opener.says(f"{opener.path('files.conf')}:6: [wrong] Path=: ")
        opener.says("The policy was not changed")

        # So does one that others can write.
        opener.write_policy(grant("newer", file.name))
        os.chmod(opener.path("files.conf"), 0o666)
        opener.reload()
        equal(ask(porterd, request(CHECK, ["new"]), accepted)["result"], OK)
        os.chmod(opener.path("files.conf"), 0o644)
        opener.reload()
        equal(ask(porterd, request(CHECK, ["newer"]), accepted)["result"], OK)


@test
def a_wrong_section_at_start_is_never_granted():
    with some_file() as file, Opener(grant("good", file.name) + grant("bad", file.name, "Access=all")) as opener:
        accepted, _end = opener.client()
        with opener.connect() as porterd:
            equal(ask(porterd, request(OPEN, ["good"]), accepted)["result"], OK)
            equal(ask(porterd, request(OPEN, ["bad"]), accepted)["result"], NOT_PERMITTED)
        contains(opener.states[0], "files: 1")
        opener.says("[bad] Access=: ")


@test
def sigterm_answers_what_was_asked():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        ask(porterd, request(CHECK, ["key"]), accepted)
        # More than the replies have room for: the opener waits for this reader with some left to do.
        porterd.setblocking(False)
        sent = 0
        try:
            while sent < 100000:
                send(porterd, request(CHECK, ["key"], serial=sent), accepted)
                sent += 1
        except BlockingIOError:
            pass
        porterd.settimeout(20)
        opener.process.send_signal(signal.SIGTERM)
        opener.state("STOPPING=1")
        for serial in range(sent):
            reply = receive(porterd)
            equal((reply["serial"], reply["result"]), (serial, OK))
        equal(opener.wait(), 0)
        if sent < 100:
            raise AssertionError(f"only {sent} requests found room")


def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            while True:
                function()
        finally:
            os._exit(0)
    return child


@test
def sigterm_ends_it_whoever_keeps_asking():
    with some_file() as file, Opener(grant("key", file.name, "Deliver=copy", "Access=read")) as opener, \
            opener.connect() as porterd:
        accepted, _end = opener.client()
        # Much to do for the opener, little for who asks and who reads: there is always another request.
        file.truncate(4 << 20)
        packet = request(OPEN, ["key"])
        children = [in_child(lambda: send(porterd, packet, accepted)), in_child(lambda: porterd.recv(4096))]
        try:
            opener.state("requests: ")
            opener.process.send_signal(signal.SIGTERM)
            opener.state("STOPPING=1")
            equal(opener.wait(), 0)
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


@test
def who_was_not_accepted_yet_is_served_by_the_next_one():
    with Opener() as opener:
        accepted, _end = opener.client()
        os.kill(opener.process.pid, signal.SIGSTOP)
        with opener.connect() as porterd:
            send(porterd, request(CHECK, ["key"]), accepted)
            opener.process.send_signal(signal.SIGTERM)
            os.kill(opener.process.pid, signal.SIGCONT)
            equal(opener.wait(), 0)
            opener.start()
            equal(receive(porterd)["result"], UNKNOWN)


@test
def a_porterd_that_does_not_read_stalls_only_itself():
    with some_file() as file, Opener(grant("key", file.name)) as opener:
        accepted, _end = opener.client()
        with opener.connect() as lazy, opener.connect() as porterd:
            lazy.setblocking(False)
            sent = 0
            while True:
                try:
                    send(lazy, request(OPEN, ["key"], serial=sent), accepted)
                    sent += 1
                except BlockingIOError:
                    time.sleep(0.2)
                    try:
                        send(lazy, request(OPEN, ["key"], serial=sent), accepted)
                        sent += 1
                    except BlockingIOError:
                        break
            equal(ask(porterd, request(CHECK, ["key"]), accepted)["result"], OK)
            # Nothing is lost, and the order is kept.
            lazy.settimeout(20)
            for serial in range(sent):
                reply = receive(lazy)
                equal((reply["serial"], reply["result"], len(reply["fds"])), (serial, OK, 1))
                os.close(reply["fds"][0])
            equal(ask(lazy, request(CHECK, ["key"]), accepted)["result"], OK)


@test
def a_client_that_connected_elsewhere_is_refused():
    with some_file() as file, tempfile.TemporaryDirectory() as directory:
        with Opener(grant("key", file.name), options=[f"--client-socket={directory}/s"]) as opener, \
                socket.socket(socket.AF_UNIX) as listener, opener.connect() as porterd:
            accepted, _end = opener.client()
            reply = ask(porterd, request(OPEN, ["key"]), accepted)
            equal((reply["result"], reply["fds"]), (NOT_PERMITTED, []))
            opener.says("was refused to nobody known: the client is not connected to a socket of porterd's")
            listener.bind(f"{directory}/s")
            listener.listen()
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(f"{directory}/s")
                accepted = listener.accept()[0]
                equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], OK)


@test
def faulty_requests_do_no_harm():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        for packet in (b"x", request(OPEN, ["key"])[:-1], request(OPEN, ["key"]) + b"x", request(9, ["key"]),
                       request(OPEN, ["key"]) * 300, request(OPEN)):
            reply = ask(porterd, packet, accepted)
            equal((reply["result"], reply["serial"]), (BAD_REQUEST, 7 if len(packet) > 1 else 0), packet[:30])
        porterd.send(request(OPEN, ["key"]))
        equal(receive(porterd)["result"], BAD_REQUEST, "no fd")
        equal(ask(porterd, request(OPEN, ["key"]), opener.listener)["result"], BAD_REQUEST, "a listener")
        equal(ask(porterd, request(OPEN, ["key"]), _end)["result"], BAD_REQUEST, "the client's end")
        equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], OK)
        opener.says("porterd sent a request that it must not send")
        opener.stop()
        equal(opener.said.count("must not send"), 1, "complaints")


@test
def an_empty_packet_ends_its_connection_alone():
    with Opener() as opener, opener.connect() as one, opener.connect() as other:
        accepted, _end = opener.client()
        one.send(b"")
        equal(one.recv(1), b"")
        equal(ask(other, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)


@test
def others_may_not_connect():
    if ME != 0:
        raise Skip("needs root, to be somebody else")
    with some_file() as file, Opener(grant("key", file.name, user=12345)) as opener:
        os.chmod(opener.directory, 0o755)
        os.chmod(opener.path("opener0"), 0o666)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setresuid(12345, 12345, 12345)
                with opener.connect() as porterd:
                    status = 0 if porterd.recv(1) == b"" else 2
            except ConnectionError:
                status = 0
            finally:
                os._exit(status)
        equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, "closed at once")
        opener.says("A connection of uid 12345, pid ")


@test
def idleness_ends_it():
    with Opener(options=["--exit-idle=1"]) as opener:
        with opener.connect() as porterd:
            accepted, _end = opener.client()
            time.sleep(1.5)
            equal(ask(porterd, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)
        started = time.monotonic()
        equal(opener.wait(), 0)
        if time.monotonic() - started < 0.8:
            raise AssertionError("it did not wait")
        # Who comes now is served by the next one.
        with opener.connect() as porterd:
            send(porterd, request(CHECK, ["key"]), accepted)
            opener.start(options=["--exit-idle=0"])
            equal(receive(porterd)["result"], UNKNOWN)


@test
def without_descriptors_new_connections_wait():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as early:
        accepted, _end = opener.client()
        equal(ask(early, request(OPEN, ["key"]), accepted)["result"], OK)
        pid = opener.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        with opener.connect() as late:
            send(late, request(OPEN, ["key"]), accepted)
            opener.says("New connections wait: Too many open files")
            time.sleep(0.5)
            ticks = [int(open(f"/proc/{pid}/stat").read().split()[field]) for field in (13, 14)]
            if sum(ticks) > 20:
                raise AssertionError(f"waiting took {ticks} ticks")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            equal(receive(late)["result"], OK)
        equal(opener.stop(), 0)
        equal(opener.said.count("New connections wait"), 1, "complaints")


@test
def without_descriptors_a_request_is_answered_at_once():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], OK)
        pid = opener.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        reply = ask(porterd, request(OPEN, ["key"], serial=4711), accepted)
        equal((reply["result"], reply["serial"], reply["operation"]), (BUSY, 4711, OPEN))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], OK)


@test
def more_connections_than_may_be_wait():
    with some_file() as file, Opener(grant("key", file.name), limit=600) as opener:
        accepted, _end = opener.client()
        many = [opener.connect() for _ in range(60)]
        opener.says("New connections wait: there are as many as may be")
        for one in many:
            equal(ask(one, request(OPEN, ["key"]), accepted)["result"], OK)
            one.close()
        equal(opener.stop(), 0)


@test
def many_connections():
    with some_file() as file, Opener(grant("key", file.name)) as opener:
        accepted, _end = opener.client()
        many = [opener.connect() for _ in range(500)]
        for one in many:
            send(one, request(OPEN, ["key"]), accepted)
        for one in many:
            reply = receive(one)
            equal(reply["result"], OK)
            os.close(reply["fds"][0])
            one.close()
        equal(opener.stop(), 0)


def wrong_start(status, said, **how):
    with Opener(wait=False, **how) as opener:
        equal(opener.wait(), status, "exit status")
        contains(opener.said, said)
        equal(len(opener.said.splitlines()), 1, "lines")


@test
def wrong_starts():
    wrong_start(78, "not what the opener serves", name="varlink")
    wrong_start(78, "not what the opener serves", kinds=(socket.SOCK_STREAM,))
    wrong_start(78, "not what the opener serves", kinds=(socket.SOCK_DGRAM,))
    wrong_start(78, "not what the opener serves", listen=False)
    wrong_start(78, "not what the opener serves", kinds=(socket.SOCK_SEQPACKET, socket.SOCK_STREAM))
    wrong_start(64, "systemctl start porterd-opener.socket", kinds=())
    wrong_start(78, "--config-dir=/nowhere: ", options=["--config-dir=/nowhere"])
    for seconds in ("x", "-1", "+1", " 1", "01", "1s", "", "99999999"):
        wrong_start(64, f"--exit-idle={seconds}", options=[f"--exit-idle={seconds}"])
    wrong_start(64, "--client-socket=x: ", options=["--client-socket=x"])
    wrong_start(64, "more: not an option", options=["more"])
    wrong_start(64, "--nonsense", options=["--nonsense"])


@test
def two_sockets():
    with Opener(kinds=(socket.SOCK_SEQPACKET, socket.SOCK_SEQPACKET)) as opener:
        accepted, _end = opener.client()
        for number in range(2):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as porterd:
                porterd.connect(opener.path(f"opener{number}"))
                equal(ask(porterd, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)


@test
def help_and_version():
    shown = subprocess.run([OPENER, "--help"], capture_output=True, text=True, check=True).stdout
    contains(shown, "--config-dir=DIR")
    shown = subprocess.run([OPENER, "--version"], capture_output=True, text=True, check=True).stdout
    contains(shown, "porterd-opener ")
    equal(subprocess.run([OPENER, "--nonsense"], capture_output=True, check=False).returncode, 64)


def main():
    failed = 0
    print(f"1..{len(tests)}")
    for number, function in enumerate(tests, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}")
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}")
        except Exception as error:  # whatever went wrong, the other tests still run
            failed += 1
            print(f"not ok {number} - {name}")
            print(f"# {type(error).__name__} in line {error.__traceback__.tb_next.tb_lineno}: {error}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
