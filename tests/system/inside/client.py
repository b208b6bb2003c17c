"""Clients of porterd in plain Python, as a library of the tests and as a command.

Nothing here is shared with the product, so that both must agree on the documents alone.

    client.py varlink METHOD [JSON]      prints the reply's parameters
    client.py open FILE                  prints what the passed descriptor reads
    client.py message PATH JSON          one message on a seqpacket or datagram socket
"""

import array
import contextlib
import json
import os
import socket
import sys
import threading

VARLINK = "/run/porterd/io.porterd"
ISOLATED = "/run/porterd/isolated/io.porterd"
SECONDS = 30


class VarlinkError(Exception):
    """An error reply: its name without the interface, and its parameters."""

    def __init__(self, error, parameters):
        super().__init__(f"{error} {json.dumps(parameters)}")
        self.name = error.rsplit(".", 1)[-1]
        self.parameters = parameters


class Varlink:
    def __init__(self, path=VARLINK, prepare=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if prepare:
            prepare(self.socket)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self.data = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)

    def send(self, method, parameters=None, **flags):
        call = {"method": method, **flags}
        if parameters is not None:
            call["parameters"] = parameters
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.data:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(content)
                    self.fds += fds
            if not data:
                raise EOFError("the service closed the connection")
            self.data += data
        message, self.data = self.data.split(b"\0", 1)
        reply = json.loads(message)
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters") or {})
        return reply.get("parameters") or {}

    def call(self, method, parameters=None, **flags):
        self.send(method, parameters, **flags)
        return self.receive()

    def open(self, name):
        """A Python file on the descriptor that Files.Open passes."""
        index = self.call("io.porterd.Files.Open", {"file": name})["descriptor"]
        # Each reply counts its own from 0.
        fd = self.fds.pop(index)
        if self.fds:
            raise AssertionError("more descriptors than one came along")
        return os.fdopen(fd, "rb", buffering=0)


def call(method, parameters=None, path=VARLINK):
    with Varlink(path) as varlink:
        return varlink.call(method, parameters)


@contextlib.contextmanager
def acting_as(uid):
    """Who connects meanwhile is this user to the kernel, whoever uses the connection then."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)


def connect(path, kind=socket.SOCK_STREAM, seconds=SECONDS):
    """PATH may begin with @ for an abstract name."""
    client = socket.socket(socket.AF_UNIX, kind)
    client.settimeout(seconds)
    if kind == socket.SOCK_DGRAM:
        client.bind("")  # the kernel chooses an abstract name
    client.connect("\0" + path[1:] if path[0] == "@" else path)
    return client


def message(path, data):
    """One message there and its answer back, whatever keeps boundaries there."""
    kind = socket.SOCK_DGRAM if path.endswith(".dgram") else socket.SOCK_SEQPACKET
    with connect(path, kind) as client:
        client.send(data)
        return client.recv(1 << 20)


def read_exactly(client, count):
    data = b""
    while len(data) < count:
        more = client.recv(min(65536, count - len(data)))
        if not more:
            break
        data += more
    return data


def echo(path, data):
    """DATA sent on a stream, and what came back before the connection closed."""
    with connect(path) as client:
        # The service stops reading while nobody reads its answers: so do both at once.
        sender = threading.Thread(target=send_all_and_shut, args=(client, data))
        sender.start()
        try:
            return read_exactly(client, 1 << 30)
        finally:
            sender.join()


def send_all_and_shut(client, data):
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the reader notices


def main(verb, *arguments):
    try:
        if verb == "varlink":
            parameters = json.loads(arguments[1]) if len(arguments) > 1 else None
            print(json.dumps(call(arguments[0], parameters)))
        elif verb == "open":
            with Varlink() as varlink, varlink.open(arguments[0]) as file:
                sys.stdout.write(file.read().decode())
        elif verb == "message":
            print(message(arguments[0], arguments[1].encode()).decode())
    except VarlinkError as error:
        print(json.dumps({"error": error.name, "parameters": error.parameters}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
