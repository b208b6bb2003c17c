"""Clients that keep the services busy, each kind in a process of its own.

A kind is a function that is given a Turn: it goes on while that says so, counts there what it saw, and raises what
must not be."""

import array
import collections
import json
import os
import random
import select
import signal
import socket
import time
import traceback

import client

ECHO = "/run/porterd/echo"
GET = "io.porterd.Credentials.Get"
PACKET = json.dumps({"method": GET}).encode()
FILES = 8
# As many as one request can name.
FILES_MAX = 253
ENDS = (EOFError, ConnectionResetError, BrokenPipeError)


class Turn:
    """What a client knows: which one it is, whether to go on, and whether its connection may be lost."""

    def __init__(self, number, stop, may_lose):
        self.number = number
        self.may_lose = may_lose
        self.counts = collections.Counter()
        self.longest = 0.0
        self.stop = stop
        self.random = random.Random(number)

    def goes_on(self):
        return not select.select([self.stop], [], [], 0)[0]

    def timed(self, function, *arguments):
        started = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self.longest = max(self.longest, time.monotonic() - started)

    def lost(self, error):
        """A connection has ended: is that as it may be?"""
        if not self.may_lose:
            raise error
        self.counts["lost"] += 1


class Loads:
    """Runs the functions until the end of the block; `turns` is what they counted then, in their order."""

    def __init__(self, *functions, may_lose=()):
        self.functions = functions
        self.may_lose = may_lose
        self.children = []
        self.turns = []

    def __enter__(self):
        stop, self.stop = os.pipe()
        for number, function in enumerate(self.functions):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    os.close(self.stop)
                    os.close(reader)
                    self.run(function, Turn(number, stop, function in self.may_lose), writer)
                    status = 0
                finally:
                    os._exit(status)
            os.close(writer)
            self.children.append((child, reader))
        os.close(stop)
        return self

    @staticmethod
    def run(function, turn, writer):
        # Nobody waits for ever, and with a test that fails everybody ends.
        signal.alarm(3600)
        try:
            function(turn)
            told = {"counts": turn.counts, "longest": turn.longest}
        except Exception:  # pylint: disable=broad-except
            told = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(told).encode()[:60000])

    def __exit__(self, kind, *_):
        os.close(self.stop)
        told = []
        for child, reader in self.children:
            with os.fdopen(reader, "rb") as pipe:
                told.append(pipe.read())
            os.waitpid(child, 0)
        self.turns = [json.loads(text or '{"error": "it was killed"}') for text in told]
        errors = [f"{function.__name__}: {turn['error']}" for function, turn in zip(self.functions, self.turns)
                  if "error" in turn]
        if errors and kind is None:
            raise AssertionError("\n".join(errors))

    def count(self, name):
        return sum(turn["counts"].get(name, 0) for turn in self.turns)

    def longest(self, *functions):
        return max(turn["longest"] for function, turn in zip(self.functions, self.turns) if function in functions)


def same(got, sent):
    if got != sent:
        raise AssertionError(f"an echo of {sent[:40]!r} is {got[:40]!r} ({len(sent)} and {len(got)} bytes)")


def persistent(turn, connect, use):
    """USE of one connection again and again; another one where it may be lost."""
    connection = None
    while turn.goes_on():
        try:
            connection = connection or turn.timed(connect)
            use(turn, connection)
        except ENDS as error:
            turn.lost(error)
            connection.close()
            connection = None
    if connection:
        connection.close()


# --- echo --------------------------------------------------------------------------------------------------------


def exchange(turn, stream):
    data = b"%d:%d " % (turn.number, turn.counts["echoes"]) * turn.random.choice((1, 10, 1000))
    turn.timed(stream.sendall, data)
    got = turn.timed(client.read_exactly, stream, len(data))
    if len(got) < len(data):
        raise EOFError
    same(got, data)
    turn.counts["echoes"] += 1
    time.sleep(0.001)


def echoes(turn):
    persistent(turn, lambda: client.connect(ECHO), exchange)


def isolated_echoes(turn):
    persistent(turn, lambda: client.connect("/run/porterd/isolated/echo"), exchange)


def packet_echoes(turn):
    def use(turn, packets):
        data = b"%d:%d " % (turn.number, turn.counts["packets"]) * turn.random.choice((1, 10, 1000))
        packets.send(data)
        got = packets.recv(len(data) + 1)
        if not got:
            raise EOFError
        same(got, data)
        turn.counts["packets"] += 1
        time.sleep(0.001)
    kinds = [(f"{ECHO}.seqpacket", socket.SOCK_SEQPACKET), (f"{ECHO}.dgram", socket.SOCK_DGRAM)]
    connections = [client.connect(*kind) for kind in kinds]
    while turn.goes_on():
        for one in connections:
            use(turn, one)


# --- credentials ---------------------------------------------------------------------------------------------------


def credentials(turn):
    """Who stays, and who comes for one question."""
    places = [("/run/porterd/credentials.seqpacket", socket.SOCK_SEQPACKET),
              ("/run/porterd/credentials.dgram", socket.SOCK_DGRAM)]
    with client.Varlink() as stays:
        while turn.goes_on():
            pids = [stays.call(GET)["credentials"]["pid"], client.call(GET)["credentials"]["pid"]]
            for path, kind in places:
                with client.connect(path, kind) as one:
                    one.send(PACKET)
                    pids.append(json.loads(one.recv(65536))["parameters"]["credentials"]["pid"])
            if pids != [os.getpid()] * len(pids):
                raise AssertionError(f"{os.getpid()} is told to be {pids}")
            turn.counts["credentials"] += len(pids)
            time.sleep(0.002)


# --- files ---------------------------------------------------------------------------------------------------------


def file_name(number, index):
    """Each client has files of its own, which hold their names."""
    return f"file-{number}-{index}"


def file_names():
    return [file_name(number, index) for number in range(12) for index in range(FILES)]


def contents(fds):
    """What their descriptors read, which are closed."""
    try:
        return [os.pread(fd, 100, 0).decode() for fd in fds]
    finally:
        for fd in fds:
            os.close(fd)


def ask(turn, varlink):
    """One question of any kind. Whatever happens to the opener, there is an answer, and no other client's."""
    names = [file_name(turn.number, turn.random.randrange(FILES)) for _ in range(turn.random.choice((1, 1, 1, 5)))]
    kind = turn.random.randrange(20)
    try:
        if kind == 0:
            listed = turn.timed(varlink.call, "io.porterd.Files.List")["files"]
            wanted, got = sorted(file_names()), sorted(file["name"] for file in listed)
        elif kind == 1:
            wanted, got = True, turn.timed(varlink.call, "io.porterd.Files.Check", {"file": names[0]})["permitted"]
        elif len(names) == 1:
            turn.timed(varlink.call, "io.porterd.Files.Open", {"file": names[0]})
            wanted, got = names, None
        else:
            turn.timed(varlink.call, "io.porterd.Files.OpenMany", {"files": names})
            wanted, got = names, None
        fds, varlink.fds = varlink.fds, []
        opened = contents(fds)
        if (opened if got is None else got) != wanted:
            raise AssertionError(f"asked for {wanted}, got {opened if got is None else got}")
        if got is not None and fds:
            raise AssertionError(f"descriptors of {opened} that nobody asked for")
        turn.counts["answers"] += 1
    except client.VarlinkError as error:
        if error.name != "OpenerUnavailable":
            raise
        turn.counts["unavailable"] += 1


def asks(turn):
    persistent(turn, client.Varlink, ask)


def asks_isolated(turn):
    persistent(turn, lambda: client.Varlink(client.ISOLATED), ask)


# --- who behaves otherwise -------------------------------------------------------------------------------------------


def send(one, data, fds=()):
    """All that goes. Newer kernels refuse descriptors where porterd wants none."""
    try:
        one.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    except (PermissionError, *ENDS):
        pass


def leaves(turn):
    """Asks and does not wait for the answer, which must not be the next one's then."""
    while turn.goes_on():
        try:
            with client.Varlink() as varlink:
                for index in range(turn.random.randrange(1, 4)):
                    varlink.send("io.porterd.Files.Open", {"file": file_name(turn.number, index)})
                time.sleep(turn.random.choice((0, 0, 0.001)))
        except ENDS as error:
            turn.lost(error)
        turn.counts["left"] += 1
        time.sleep(0.001)


def comes_and_goes(turn):
    """Connects everywhere, and leaves with nothing, with half a message, or with answers that were not read."""
    half = b'{"method":"io.porterd.Credentials.Get"'
    while turn.goes_on():
        for path, data in ((ECHO, b"x" * 50000), (client.VARLINK, half), (client.VARLINK, (half + b"}\0") * 50)):
            with client.connect(path) as one:
                if turn.random.random() < 0.8:
                    send(one, data)
                if turn.random.random() < 0.3:
                    one.shutdown(socket.SHUT_WR)
            turn.counts["visits"] += 1
        with client.connect("/run/porterd/credentials.seqpacket", socket.SOCK_SEQPACKET) as one:
            send(one, half)
        time.sleep(0.005)


def sends_fds(turn):
    """Descriptors to everybody; who wants none closes them, or the connection."""
    places = [(ECHO, socket.SOCK_STREAM), (f"{ECHO}.seqpacket", socket.SOCK_SEQPACKET),
              (f"{ECHO}.dgram", socket.SOCK_DGRAM), (client.VARLINK, socket.SOCK_STREAM),
              ("/run/porterd/credentials.seqpacket", socket.SOCK_SEQPACKET),
              ("/run/porterd/credentials.dgram", socket.SOCK_DGRAM)]
    while turn.goes_on():
        for path, kind in places:
            with client.connect(path, kind) as one:
                for count in (1, 253):
                    send(one, PACKET + b"\0", [0] * count)
            turn.counts["floods"] += 1
        time.sleep(0.01)


def many(uid, connections, names):
    """Is a user who asks for all these at once, on each of its connections, as soon as the last answer is there."""
    request = json.dumps({"method": "io.porterd.Files.OpenMany", "parameters": {"files": names}}).encode() + b"\0"

    def asks_for_many(turn):
        os.setresuid(uid, uid, uid)
        clients = [client.connect(client.VARLINK) for _ in range(connections)]
        for one in clients:
            one.sendall(request)
        while turn.goes_on():
            for one in select.select(clients, [], [], 0.1)[0]:
                answer, fds, _, _ = socket.recv_fds(one, 65536, FILES_MAX)
                for fd in fds:
                    os.close(fd)
                # One answer is due, whose end may come later than its descriptors.
                turn.counts["granted"] += bool(fds)
                if answer.endswith(b"\0"):
                    turn.counts["answers"] += 1
                    one.sendall(request)
                elif not answer:
                    raise EOFError("who asks for much is not sent away")
    return asks_for_many
