#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterd's conversation, in which each system call fails in turn (faults.py)."""

from faults import *
from world import World

POLICY = """
[key]
Path={d}/key
Access=read-write
AllowUser={me}

[log]
Path={d}/log
Access=append
AllowUser={me}

[other]
Path={d}/key
AllowUser=4242

[a-key-whose-name-is-longer-than-thirty-two-characters]
Path={d}/key
Access=read-write
AllowUser={me}
"""
# Who asks for the file with the long name must not get one whose name has a character less.
LONG = "a-key-whose-name-is-longer-than-thirty-two-characters"
for at in range(len(LONG)):
    POLICY += f"\n[{LONG[:at] + LONG[at + 1:]}]\nPath={{d}}/log\nAccess=append\nAllowUser={{me}}\n"
GET = {"method": "io.porterd.Credentials.Get"}
SECRET, LOG = b"the secret", b"the log"
# As many as there may be, by the configuration.
CONNECTIONS = 8


class Porterd(Conversation):
    def __init__(self):
        super().__init__()
        self.world = World(POLICY)
        self.world.file("key", SECRET.decode())
        self.world.file("log", LOG.decode())
        self.world.opener.connect().close()
        self.sockets = []
        self.config = os.path.join(self.directory, "config")
        os.makedirs(os.path.join(self.config, "porterd.conf.d"))
        for name, most in (("porterd.conf", 1000), ("porterd.conf.d/10.conf", CONNECTIONS)):
            with open(os.path.join(self.config, name), "w") as file:
                file.write(f"[Server]\nConnectionsMax={most}\n")

    def path(self, name, kind):
        return os.path.join(self.directory, f"{name}-{int(kind)}")

    def listen(self):
        """New ones, in which nobody waits."""
        for _, one in self.sockets:
            one.close()
        self.sockets = []
        for name, kind in (("varlink", STREAM), ("credentials", SEQPACKET), ("credentials", DATAGRAM), ("echo", STREAM),
                           ("echo", SEQPACKET), ("echo", DATAGRAM)):
            one = socket.socket(socket.AF_UNIX, kind)
            path = self.path(name, kind)
            if os.path.exists(path):
                os.unlink(path)
            one.bind(path)
            if kind != DATAGRAM:
                one.listen(64)
            self.sockets.append((name, one))

    def start(self, plan, fault):
        self.listen()
        return Daemon(self.directory, PORTERD, [f"--opener={self.world.opener.path}", f"--config-dir={self.config}"],
                      self.sockets, plan, fault)

    def client(self, name, kind):
        client = socket.socket(socket.AF_UNIX, kind)
        client.settimeout(PATIENCE)
        if kind == DATAGRAM:
            client.bind("")
        client.connect(self.path(name, kind))
        return client

    def check(self, daemon):
        return all(step(self, daemon) == "served" for step in CHECKS)

    def close(self):
        for _, one in self.sockets:
            one.close()
        self.world.__exit__(None, None, None)
        super().close()


def answer(daemon, client, silence=SILENCE):
    """What came, with descriptors; b"": the end; None: nothing."""
    if not daemon.wait_for(client, silence):
        if daemon.has_ended():
            raise Ended
        return None, []
    try:
        return receive_fds(client)
    except ConnectionResetError:
        return b"", []


def send(daemon, client, data):
    """False if the connection has ended."""
    daemon.mark()
    try:
        client.sendall(data)
        return True
    except (BrokenPipeError, ConnectionResetError):
        return False


def echo_stream(talk, daemon):
    # After the first ones epoll is told to tell of it by its edge.
    pieces = [b"hello"] * 17 + [bytes(range(256)) * 300]
    with talk.client("echo", STREAM) as client:
        for piece in pieces:
            if not send(daemon, client, piece):
                return "closed"
            got = b""
            while len(got) < len(piece):
                data, _ = answer(daemon, client)
                if data is None:
                    raise Wrong("the echo never came")
                if not data:
                    return "closed"
                got += data
            if got != piece:
                raise Wrong("the echo is another")
        daemon.mark()
        client.shutdown(socket.SHUT_WR)
        data, _ = answer(daemon, client)
        if data is None:
            raise Wrong("the end is not echoed")
        if data:
            raise Wrong("more is echoed than was sent")
        return "served"


def packet(talk, daemon, name, kind, sent, judge):
    with talk.client(name, kind) as client:
        if not send(daemon, client, sent):
            return "closed"
        # Nobody promises that a datagram is answered.
        data, _ = answer(daemon, client, 0.3 if kind == DATAGRAM else SILENCE)
        if data is None and kind == DATAGRAM:
            return "dropped"
        if data is None:
            raise Wrong("no answer")
        return judge(data) if data else "closed"


def same(text):
    def judge(data):
        if data != text:
            raise Wrong("the echo is another")
        return "served"
    return judge


def my_credentials(reply):
    if "error" in reply:
        return told(reply["error"])
    credentials = reply["parameters"]["credentials"]
    if (credentials["uid"], credentials["gid"], credentials["pid"]) != (os.geteuid(), os.getegid(), os.getpid()):
        raise Wrong(f"the credentials are somebody else's: {credentials}")
    return "served"


def echo_packet(kind):
    return lambda talk, daemon: packet(talk, daemon, "echo", kind, b"hello", same(b"hello"))


def get_packet(kind):
    return lambda talk, daemon: packet(talk, daemon, "credentials", kind, json.dumps(GET).encode(),
                                       lambda data: my_credentials(json.loads(data)))


def call(talk, daemon, method, parameters, judge):
    """One call on a connection of its own; judge(reply, descriptors) says whether what came is right."""
    with talk.client("varlink", STREAM) as client:
        if not send(daemon, client, json.dumps({"method": method, "parameters": parameters}).encode() + b"\0"):
            return "closed"
        buffer, fds = b"", []
        try:
            while not buffer.endswith(b"\0"):
                data, more = answer(daemon, client)
                fds += more
                if data is None:
                    raise Wrong("no reply")
                if not data:
                    if buffer or fds:
                        raise Wrong("half a reply")
                    return "closed"
                buffer += data
            reply = json.loads(buffer[:-1])
            if "error" in reply and fds:
                raise Wrong("descriptors with an error")
            return judge(reply, fds)
        finally:
            for fd in fds:
                os.close(fd)


def get_stream(talk, daemon):
    return call(talk, daemon, "io.porterd.Credentials.Get", {}, lambda reply, fds: my_credentials(reply))


def handed_out(*wanted):
    def judge(reply, fds):
        if "error" in reply:
            return told(reply["error"])
        got = []
        for fd in fds:
            # What may be appended alone is read by way of the file.
            reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
            got.append(os.pread(reader, 100, 0))
            os.close(reader)
        if got != list(wanted):
            raise Wrong(f"it handed out {got}")
        return "served"
    return judge


def is_reply(**wanted):
    def judge(reply, fds):
        if "error" in reply:
            return told(reply["error"])
        if reply["parameters"] != wanted:
            raise Wrong(f"it said {reply}")
        return "served"
    return judge


def lists(*wanted):
    def judge(reply, fds):
        if "error" in reply:
            return told(reply["error"])
        if not {*wanted} <= {file["name"] for file in reply["parameters"]["files"]}:
            raise Wrong(f"it said {reply}")
        return "served"
    return judge


def refused(reply, fds):
    if "error" not in reply:
        raise Wrong("it was not refused")
    return "served" if told(reply["error"]) == "told NotPermitted" else told(reply["error"])


def files(method, parameters, judge):
    return lambda talk, daemon: call(talk, daemon, f"io.porterd.Files.{method}", parameters, judge)


def is_ready(talk, daemon):
    talk.hears_ready(daemon)
    talk.plan.end()
    clients = [talk.client("echo", STREAM) for _ in range(CONNECTIONS)]
    try:
        for client in clients:
            if not send(daemon, client, b"x") or answer(daemon, client)[0] != b"x":
                raise Wrong("clients are not served")
        daemon.settle()
        if "there are as many as may be" in daemon.log():
            return "served"
        # libeconf takes an error of reading for the end of the file, and what is not there need not be.
        return "served unconfigured" if "can't be read" in daemon.log() else "served unconfigured unsaid"
    finally:
        for client in clients:
            client.close()


open_key = files("Open", {"file": "key"}, handed_out(SECRET))
open_other = files("Open", {"file": "other"}, refused)
Porterd.steps = {
    "start": is_ready,
    "echo stream": echo_stream,
    "echo seqpacket": echo_packet(SEQPACKET),
    "echo datagram": echo_packet(DATAGRAM),
    "get stream": get_stream,
    "get seqpacket": get_packet(SEQPACKET),
    "get datagram": get_packet(DATAGRAM),
    "open": open_key,
    "open many": files("OpenMany", {"files": ["log", "key"]}, handed_out(LOG, SECRET)),
    "open long": files("Open", {"file": LONG}, handed_out(SECRET)),
    "check": files("Check", {"file": "key"}, is_reply(permitted=True, reason="AllowUser= names the client")),
    "list": files("List", {}, lists("key", "log", LONG)),
    "refuse": open_other,
    "stop": None,
}


CHECKS = (echo_stream, echo_packet(SEQPACKET), get_stream, open_key, open_other)

tests_of(Porterd)
