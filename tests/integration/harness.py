# SPDX-License-Identifier: MIT
"""What the integration tests share: TAP output, and porterd under systemd-socket-activate."""

import array
import contextlib
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("TOP_BUILDDIR", os.getcwd())
SOURCE = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
PORTERD = os.path.join(BUILD, "porterd")
# For example a valgrind command line.
WRAPPER = os.environ.get("PROGRAM_WRAPPER", "").split()
# Everything that could hang ends after this many seconds; slow tools in front of the program get more.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "10"))

STREAM, SEQPACKET, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM

# On four CPUs and more porterd is several processes (Workers=), and what the tests look at is one of them, or none.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:3])

_tests = []


class Skip(Exception):
    """Raised by a test that can't run here, with the reason."""


# It reserves so many for itself, at the end.
VALGRIND_FDS = 12


def under_valgrind():
    return bool(WRAPPER) and os.path.basename(WRAPPER[0]) == "valgrind"


def test(function):
    _tests.append(function)
    return function


def main():
    """Runs the tests of the module in order, or those that are named, and prints TAP."""
    failed = 0
    only = sys.argv[1:] or os.environ.get("TEST_ONLY", "").split()
    if not os.path.exists("/proc/self"):
        print("Bail out! there is no /proc here", flush=True)
        sys.exit(1)
    tests = [t for t in _tests if not only or t.__name__ in only]
    print(f"1..{len(tests)}", flush=True)
    for number, function in enumerate(tests, 1):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # whatever went wrong is the test's result
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r:.500}, wanted {wanted!r:.500}")


def eventually(condition, what):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {PATIENCE} s: {what}")
        time.sleep(0.01)


def connect(address, kind=STREAM):
    client = socket.socket(socket.AF_UNIX, kind)
    client.settimeout(PATIENCE)
    client.connect("\0" + address[1:] if address.startswith("@") else address)
    return client


def wrapper_for_opener():
    """What to put in front of the opener: valgrind before 3.22 does not know openat2(2), without which it opens
    nothing. The rest of the way is still looked at then."""
    if not under_valgrind():
        return WRAPPER
    said = subprocess.run([WRAPPER[0], "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    return WRAPPER if version >= (3, 22) else []


def cpu_seconds(program):
    with open(f"/proc/{program.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_rests(program, seconds=1):
    """It does not try again and again."""
    before = cpu_seconds(program)
    time.sleep(seconds)
    if cpu_seconds(program) - before > seconds / 4:
        raise AssertionError("it spins")


@contextlib.contextmanager
def so_many_descriptors(count, pid=0):
    """A process may have no more meanwhile; this one by itself, and with it the programs that it starts."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    if before[1] < count:
        raise Skip(f"{count} descriptors are needed, and {before[1]} may be asked for here")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def at_rest(count):
    """The least of some counts: what a request needs is closed after its answer."""
    least = count()
    for _ in range(20):
        time.sleep(0.01)
        least = min(least, count())
    return least


def fd_numbers(pid):
    """Its own fds: those that valgrind has for itself lie above all that it leaves to the program."""
    end = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] - VALGRIND_FDS if under_valgrind() else math.inf
    return [int(fd) for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) < end]


def fd_link(pid, fd):
    """What a descriptor is of, as "socket:[123]"; "" if it was closed in the meantime."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except FileNotFoundError:
        return ""


class Program:
    """A program behind systemd-socket-activate: `path` is its socket."""

    def __init__(self, kind=STREAM, name="echo", accept=False, arguments=(), abstract=False, program=PORTERD,
                 wrapper=None, environment=()):
        self.kind = kind
        self.accept = accept
        self.directory = tempfile.mkdtemp(prefix="porterd-test-")
        os.chmod(self.directory, 0o755)
        self.path = f"@porterd-test/{os.getpid()}/{os.path.basename(self.directory)}" if abstract else \
            os.path.join(self.directory, "s")
        self.log_path = os.path.join(self.directory, "log")
        command = ["systemd-socket-activate", f"--listen={self.path}"]
        command += {STREAM: [], SEQPACKET: ["--seqpacket"], DATAGRAM: ["--datagram"]}[kind]
        command += ["--accept"] if accept else [f"--fdname={name}"] if name else []
        for variable in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "PATH"):
            if variable in os.environ:
                command.append(f"--setenv={variable}")
        # For the program alone: newer ones of what starts it would tell systemd themselves that they are ready.
        command += [f"--setenv={variable}={os.environ[variable]}" for variable in environment if variable in os.environ]
        command += (WRAPPER if wrapper is None else wrapper) + [program] + list(arguments)
        if accept:
            command.append(f"--serve={name}")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True,
                                            env={key: value for key, value in os.environ.items()
                                                 if key not in environment})
        eventually(self._listens, "systemd-socket-activate listens")
        if not abstract:
            os.chmod(self.path, 0o666)

    def _listens(self):
        return b"Listening on" in open(self.log_path, "rb").read()

    def log(self):
        with open(self.log_path, "r", errors="replace") as log:
            return log.read()

    def connect(self):
        return connect(self.path, self.kind)

    def datagram_client(self, name=None):
        """A datagram socket connected to the program; bound to `name` in its directory if given."""
        client = socket.socket(socket.AF_UNIX, DATAGRAM)
        client.settimeout(PATIENCE)
        if name:
            client.bind(os.path.join(self.directory, name))
        client.connect(self.path)
        return client

    def wake(self):
        """Returns when it runs: systemd-socket-activate starts it with the first client, who is one that leaves."""
        with self.connect() as client:
            client.shutdown(socket.SHUT_WR)
            equal(client.recv(1), b"", "the end")

    def pids(self):
        """Its own; or, where each client has a process, those of these."""
        pid = self.process.pid
        if not self.accept:
            return [pid]
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(child) for child in children.read().split()]

    def fds(self):
        """How many fds it holds when it is at rest."""
        return at_rest(lambda: sum(len(fd_numbers(pid)) for pid in self.pids()))

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(PATIENCE)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            if kind is None:
                raise AssertionError("did not end after SIGTERM")
        finally:
            log = self.log()
            if kind is not None:
                for line in log.splitlines()[-20:]:
                    print(f"# log: {line}")
            shutil.rmtree(self.directory)
        if "Sanitizer" in log or "runtime error" in log or re.search(r"^==\d+==", log, re.MULTILINE):
            for line in log.splitlines():
                print(f"# log: {line}")
            raise AssertionError("a sanitizer or valgrind found something")


def first_answer(client, ask):
    """What ask() returns as soon as the daemon answers this client's datagrams. Those that came before it asked the
    kernel for their senders are not answered, and ten fill the queue of one that is slow to start."""
    client.settimeout(0.2)

    def answered():
        try:
            return ask()
        except TimeoutError:
            return None
    answer = eventually(answered, "an answer to a datagram")
    client.settimeout(PATIENCE)
    return answer


def fill(client, piece):
    """Sends and reads nothing until nothing more goes. False: the connection was closed before. To be called when
    the program runs (wake()): before, nothing goes only because nobody is there."""
    client.setblocking(False)
    try:
        while select.select([], [client], [], 0.3)[1]:
            try:
                client.send(piece)
            except BlockingIOError:
                pass
        return True
    except (BrokenPipeError, ConnectionResetError):
        return False


def preload(library, room="integration"):
    """What to put in front of a program to have this library of the tests stand before the C library; [] where a
    sanitizer's or valgrind wants to be there first."""
    path = os.path.join(BUILD, "tests", room, ".libs", f"{library}.so")
    sanitized = b"__asan_init" in open(PORTERD, "rb").read()
    return [] if WRAPPER or sanitized or not os.path.exists(path) else ["env", f"LD_PRELOAD={path}"]


class ShortOf:
    """A kernel that is short of what a test says, for the program that `front` stands in front of."""

    def __init__(self):
        front = preload("short_of")
        if not front:
            raise Skip("nothing can be preloaded here")
        self.directory = tempfile.mkdtemp(prefix="porterd-short-")
        self.path = os.path.join(self.directory, "short")
        self.front = front + [f"SHORT_OF={self.path}"]

    def of(self, call, number):
        with open(self.path + ".new", "w") as file:
            file.write(f"{call} {number}\n")
        os.rename(self.path + ".new", self.path)

    def of_nothing(self):
        os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.directory)


class Configured:
    """porterd with a directory of configuration: names and texts of files below it."""

    def __init__(self, files, arguments=(), **options):
        self.directory = tempfile.mkdtemp(prefix="porterd-config-")
        self.write(files)
        self.program = Program(arguments=[f"--config-dir={self.directory}"] + list(arguments), **options)

    def write(self, files):
        for name, text in files.items():
            path = os.path.join(self.directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)

    def reload(self, files):
        """Other text in these files, which porterd reads."""
        def count():
            return self.program.log().count("porterd.conf was read anew")
        before = count()
        self.write(files)
        self.program.process.send_signal(signal.SIGHUP)
        eventually(lambda: count() > before, "it reads porterd.conf")

    def __enter__(self):
        self.program.__enter__()
        return self.program

    def __exit__(self, *error):
        self.program.__exit__(*error)
        shutil.rmtree(self.directory)


def start_directly(fds, names, arguments=(), program=PORTERD, declare=True):
    """Runs a program with these fds from 3 on, as systemd would; returns (exit status, stderr)."""
    script = "export LISTEN_PID=$$; exec \"$@\"" if declare else "exec \"$@\""
    environment = dict(os.environ)
    environment.pop("JOURNAL_STREAM", None)
    if declare:
        environment.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(names))

    # Popen's pass_fds keeps numbers: move the fds to 3, 4, … in the child, where they can't be in each other's way.
    def place():
        copies = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(fds)]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i, inheritable=True)

    done = subprocess.run(["/bin/sh", "-c", script, "sh"] + WRAPPER + [program] + list(arguments), env=environment,
                          close_fds=False, preexec_fn=place, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr.decode(errors="replace")


class Varlink:
    """A Varlink client that shows what is on the wire."""

    def __init__(self, client):
        self.client = client
        self.buffer = b""
        self.fds = []

    def send(self, method, parameters=None, **flags):
        message = dict(flags, method=method)
        if parameters is not None:
            message["parameters"] = parameters
        self.client.sendall(json.dumps(message).encode() + b"\0")

    def receive(self):
        """The next reply; None at the end."""
        while b"\0" not in self.buffer:
            data, fds = receive_fds(self.client)
            self.fds += fds
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, **flags):
        self.send(method, parameters, **flags)
        return self.receive()

    def open(self, name):
        """The descriptor of a file, which is granted."""
        equal(self.call("io.porterd.Files.Open", {"file": name}), {"parameters": {"descriptor": 0}}, f"open {name}")
        return self.fds.pop()


def read_all(fd):
    """What a descriptor reads, which is closed then."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def receive_fds(client, size=65536):
    fds = array.array("i")
    data, control, flags, _ = client.recvmsg(size, socket.CMSG_SPACE(253 * fds.itemsize))
    if flags & socket.MSG_CTRUNC:
        raise AssertionError("control data was truncated")
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def send_fds(client, data, fds):
    """Sends fds along; False where the kernel refuses that (SO_PASSRIGHTS)."""
    try:
        client.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        return True
    except PermissionError:
        return False


def exchange(client, data):
    """Writes and reads at once, as a client must that sends more than the buffers hold."""
    got = bytearray()
    sent = 0
    client.setblocking(False)
    while len(got) < len(data):
        readable, writable, _ = select.select([client], [client] if sent < len(data) else [], [], PATIENCE)
        if not readable and not writable:
            raise AssertionError(f"stuck at {sent} sent, {len(got)} received")
        if writable:
            sent += client.send(data[sent:sent + 100003])
        if readable:
            piece = client.recv(77777)
            if not piece:
                raise AssertionError(f"ended after {len(got)}")
            got += piece
    client.settimeout(PATIENCE)
    return bytes(got)


def receive_exactly(client, size):
    data = bytearray()
    while len(data) < size:
        piece = client.recv(min(1 << 20, size - len(data)))
        if not piece:
            raise AssertionError(f"ended after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def check_fds_do_not_stay(program):
    """Fds that a client sends along to an echo are closed, if the kernel lets them through at all."""
    with program.connect() as client:
        client.send(b"warm")
        equal(client.recv(10), b"warm")
        before = program.fds()
        for _ in range(50):
            if send_fds(client, b"x", [0] * 253):
                equal(client.recv(10), b"x")
        equal(program.fds(), before, "fds of the daemon")


def as_user(uid, gid, groups, function):
    """Runs function() in a child with these credentials and returns its result, which JSON must be able to hold."""
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            result = {"value": function()}
        except BaseException as error:  # the parent tells about it
            result = {"error": repr(error)}
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = json.loads(pipe.read() or b'{"error": "the child died"}')
    os.waitpid(child, 0)
    if "error" in result:
        raise AssertionError(f"as uid {uid}: {result['error']}")
    return result["value"]
