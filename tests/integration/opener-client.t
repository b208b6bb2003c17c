#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterd's side of the opener, against an opener that behaves as a test wants it to."""

import json
import os
import shutil
import socket
import struct
import tempfile
import time

from harness import *

OPEN, CHECK, LIST = 1, 2, 3
OK, UNKNOWN, NOT_PERMITTED, MISSING, WRONG_TYPE, UNSAFE, TOO_MANY, BUSY, BAD = range(9)
REQUEST = struct.Struct("=IIQII")
REPLY = struct.Struct("=IIQIIIIII")


class Request:
    def __init__(self, opener):
        data, fds = receive_fds(opener)
        if not data:
            raise AssertionError("porterd hung up")
        self.opener = opener
        self.version, self.operation, self.serial, self.count, self.cursor = REQUEST.unpack(data[:REQUEST.size])
        labels = data[REQUEST.size:]
        equal(len(labels), 64 * self.count, "bytes of labels")
        self.labels = [labels[i:i + 64].rstrip(b"\0").decode() for i in range(0, len(labels), 64)]
        equal(len(fds), 1, "fds of a request")
        self.client = socket.socket(fileno=fds[0])
        equal(self.version, 1, "version")

    def pid(self):
        return struct.unpack("3i", self.client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def reply(self, result=OK, fds=(), text=b"", index=0, count=None, cursor=0, serial=None, version=1, size=None):
        data = REPLY.pack(version, self.operation, self.serial if serial is None else serial, result, index,
                          len(fds) if count is None else count, cursor, len(text) if size is None else size, 0)
        if fds:
            send_fds(self.opener, data + text, list(fds))
        else:
            self.opener.send(data + text)
        self.client.close()


class Opener:
    """A listening socket in the opener's place."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "opener")
        self.listener = None
        self.connection = None

    def listen(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, SEQPACKET)
        self.listener.settimeout(PATIENCE)
        self.listener.bind(self.path)
        self.listener.listen()

    def request(self):
        if not self.connection:
            self.connection, _ = self.listener.accept()
            self.connection.settimeout(PATIENCE)
        return Request(self.connection)

    def hang_up(self):
        self.connection.close()
        self.connection = None


class World:
    """porterd, an opener, and one client."""

    def __init__(self, limit=None):
        self.directory = tempfile.mkdtemp(prefix="porterd-opener-")
        self.opener = Opener(self.directory)
        self.opener.listen()
        arguments = [f"--opener={self.opener.path}"]
        if limit:
            command = WRAPPER + [PORTERD] + arguments
            self.program = Program(name="varlink", program="/bin/sh", wrapper=[],
                                   arguments=["-c", f'ulimit -n {limit}; exec "$@"', "sh"] + command)
        else:
            self.program = Program(name="varlink", arguments=arguments)
        self.client = Varlink(self.program.connect())

    def another(self):
        return Varlink(self.program.connect())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.client.close()
        self.program.__exit__(*error)
        shutil.rmtree(self.directory)


def memfd(content):
    fd = os.memfd_create("content")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def open_file(name="x"):
    return {"method": "io.porterd.Files.Open", "parameters": {"file": name}}


@test
def open_hands_over_the_client_and_brings_the_descriptor():
    with World() as w:
        w.client.send("io.porterd.Files.Open", {"file": "some-file"})
        request = w.opener.request()
        equal((request.operation, request.labels, request.cursor), (OPEN, ["some-file"], 0))
        equal(request.pid(), os.getpid(), "whose socket it is")
        fd = memfd(b"content")
        request.reply(fds=[fd])
        os.close(fd)
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})
        equal(len(w.client.fds), 1, "descriptors")
        equal(read_all(w.client.fds[0]), b"content")


@test
def open_many_keeps_the_order():
    for count in (1, 2, 64, 253):
        with World() as w:
            w.client.send("io.porterd.Files.OpenMany", {"files": [f"f{i}" for i in range(count)]})
            request = w.opener.request()
            equal(request.labels, [f"f{i}" for i in range(count)])
            fds = [memfd(b"%d" % i) for i in range(count)]
            request.reply(fds=fds)
            for fd in fds:
                os.close(fd)
            equal(w.client.receive(), {"parameters": {"descriptors": list(range(count))}})
            equal([read_all(fd) for fd in w.client.fds], [b"%d" % i for i in range(count)])


@test
def refusals_have_their_errors():
    table = (
        (UNKNOWN, b"why", "UnknownFile", {"file": "b"}),
        (NOT_PERMITTED, b"why", "NotPermitted", {"file": "b", "reason": "why"}),
        (MISSING, b"why", "FileMissing", {"file": "b"}),
        (WRONG_TYPE, b"why", "WrongType", {"file": "b"}),
        (UNSAFE, b"why", "UnsafeMode", {"file": "b"}),
        (TOO_MANY, b"", "TooManyFiles", {"limit": 253}),
        (BUSY, b"", "Busy", None),
        (BAD, b"", "OpenerUnavailable", None),
        (4711, b"", "OpenerUnavailable", None),
    )
    with World() as w:
        for result, reason, error, parameters in table:
            w.client.send("io.porterd.Files.OpenMany", {"files": ["a", "b"]})
            w.opener.request().reply(result, text=reason, index=1)
            wanted = {"error": f"io.porterd.Files.{error}"}
            if parameters:
                wanted["parameters"] = parameters
            equal(w.client.receive(), wanted, error)
        w.client.send("io.porterd.Files.List")
        w.opener.request().reply(NOT_PERMITTED, text=b"why")
        equal(w.client.receive(), {"error": "org.varlink.service.PermissionDenied"}, "of the caller as such")
        # An index beyond what was asked.
        w.client.send("io.porterd.Files.OpenMany", {"files": ["a", "b"]})
        w.opener.request().reply(UNKNOWN, index=2)
        equal(w.client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"})


@test
def check_is_a_question():
    with World() as w:
        for result, permitted in ((OK, True), (NOT_PERMITTED, False), (MISSING, False), (UNSAFE, False)):
            w.client.send("io.porterd.Files.Check", {"file": "a"})
            request = w.opener.request()
            equal(request.operation, CHECK)
            request.reply(result, text=b"because")
            equal(w.client.receive(), {"parameters": {"permitted": permitted, "reason": "because"}})


def entry(name, about=b"", access=b"read"):
    return name + b"\0" + about + b"\0" + access + b"\0"


@test
def list_comes_page_by_page():
    files = [{"name": "a", "description": None, "access": "read"}, {"name": "b", "description": "B", "access": "append"},
             {"name": "c", "description": None, "access": "read"}]
    for more in (False, True):
        with World() as w:
            w.client.send("io.porterd.Files.List", **({"more": True} if more else {}))
            request = w.opener.request()
            equal((request.operation, request.count, request.cursor), (LIST, 0, 0))
            request.reply(text=entry(b"a") + entry(b"b", b"B", b"append"), count=2, cursor=7)
            request = w.opener.request()
            equal((request.operation, request.cursor), (LIST, 7))
            request.reply(text=entry(b"c"), count=1)
            if more:
                equal([w.client.receive() for _ in range(3)],
                      [{"parameters": {"files": [files[0]]}, "continues": True},
                       {"parameters": {"files": [files[1]]}, "continues": True}, {"parameters": {"files": [files[2]]}}])
            else:
                equal(w.client.receive(), {"parameters": {"files": files}})
            w.client.send("io.porterd.Files.List", more=True)
            w.opener.request().reply(count=0)
            equal(w.client.receive(), {"parameters": {"files": []}})


@test
def malformed_pages_and_cursors_that_stand_still():
    with World() as w:
        for text, count, cursor in ((b"a\0b\0", 1, 0), (b"a", 1, 0), (b"", 1, 0), (entry(b"\xff"), 1, 0)):
            w.client.send("io.porterd.Files.List")
            w.opener.request().reply(text=text, count=count, cursor=cursor)
            equal(w.client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"}, text)
        w.client.send("io.porterd.Files.List")
        w.opener.request().reply(text=entry(b"a"), count=1, cursor=5)
        w.opener.request().reply(text=entry(b"a"), count=1, cursor=5)
        equal(w.client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"}, "the same cursor again")


@test
def malformed_answers_end_the_connection_to_the_opener():
    with World() as w:
        for broken in (dict(version=2), dict(size=5), dict(fds=[0, 0]), dict(fds=[])):
            w.client.send("io.porterd.Files.Open", {"file": "a"})
            w.opener.request().reply(**broken)
            equal(w.client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"}, str(broken))
            if "fds" not in broken:
                equal(w.opener.connection.recv(1), b"", "it hangs up")
                w.opener.hang_up()
        equal(w.client.fds, [], "descriptors that nobody asked for")


@test
def an_opener_that_dies_is_asked_anew():
    with World() as w:
        others = [w.another() for _ in range(3)]
        for client in [w.client] + others:
            client.send("io.porterd.Files.Open", {"file": "a"})
        for _ in range(4):
            w.opener.request()
        w.opener.hang_up()
        for client in [w.client] + others:
            equal(client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"})
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        w.opener.request().reply(fds=[0])
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})
        # Gone while nobody asks: the next question finds out and connects again.
        w.opener.hang_up()
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        w.opener.request().reply(fds=[0])
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})


@test
def answers_find_their_askers_in_any_order():
    with World() as w:
        clients = [w.another() for _ in range(5)]
        requests = []
        for number, client in enumerate(clients):
            client.send("io.porterd.Files.Open", {"file": f"f{number}"})
            requests.append(w.opener.request())
        for request in reversed(requests):
            fd = memfd(request.labels[0].encode())
            request.reply(fds=[fd])
            os.close(fd)
        for number, client in enumerate(clients):
            equal(client.receive(), {"parameters": {"descriptor": 0}})
            equal(read_all(client.fds[0]), b"f%d" % number, "whose descriptor it is")


@test
def who_left_gets_nothing_and_nothing_stays():
    with World() as w:
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        w.opener.request().reply(fds=[0])
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})
        before = w.program.fds()
        for _ in range(20):
            leaver = w.another()
            leaver.send("io.porterd.Files.OpenMany", {"files": ["a", "b"]})
            request = w.opener.request()
            leaver.client.close()
            # The answer for another serial in between is nobody's either.
            request.reply(fds=[0, 0], serial=request.serial + 1000)
            w.opener.connection.send(REPLY.pack(1, OPEN, request.serial, OK, 0, 0, 0, 0, 0))
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        w.opener.request().reply(fds=[0])
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})
        equal(w.program.fds(), before, "fds of the daemon")


@test
def oneway_open_takes_nothing_along():
    with World() as w:
        w.client.send("io.porterd.Files.Open", {"file": "a"}, oneway=True)
        w.opener.request().reply(fds=[0])
        equal(w.client.call("io.porterd.Credentials.Check")["parameters"]["satisfied"], True)
        equal(w.client.fds, [], "descriptors")


@test
def pipelined_descriptors_come_with_the_first_byte_of_their_reply():
    """The kernel merges bytes without and with fds into one read: the daemon must not let it come to that."""
    plain = json.dumps({"method": "io.porterd.Credentials.Check"}).encode() + b"\0"
    opens = [json.dumps(open_file(f"f{n}")).encode() + b"\0" for n in range(6)]
    with World() as w:
        client = w.client.client
        client.sendall(b"".join(plain + one for one in opens))
        # Each open is asked when the replies before it have been read, so serve and read by turns.
        served = 0
        got = []
        client.settimeout(0.05)
        w.opener.listener.settimeout(0.05)
        end = time.monotonic() + PATIENCE
        while len(got) < 12 and time.monotonic() < end:
            try:
                request = w.opener.request()
                w.opener.connection.settimeout(0.05)
                time.sleep(0.03)  # its reply finds an unread one before it
                fd = memfd(request.labels[0].encode())
                request.reply(fds=[fd])
                os.close(fd)
                served += 1
                time.sleep(0.03)
            except TimeoutError:
                pass
            try:
                data, fds = receive_fds(client)
                messages = data.split(b"\0")
                equal(messages.pop(), b"", "whole messages")
                for number, message in enumerate(messages):
                    message = json.loads(message)
                    if "descriptor" in message["parameters"]:
                        equal(number, 0, "place in its read of a reply with a descriptor")
                        equal(len(fds), 1, "descriptors that came with it")
                        got.append(read_all(fds.pop()).decode())
                    else:
                        got.append("plain")
                equal(fds, [], "descriptors without a reply")
            except TimeoutError:
                pass
        equal(got, [x for n in range(6) for x in ("plain", f"f{n}")], "replies in order")


@test
def a_burst_of_askers_beyond_the_openers_queue():
    with World() as w:
        clients = [w.another() for _ in range(200)]
        for number, client in enumerate(clients):
            client.send("io.porterd.Files.Open", {"file": f"f{number}"})
        time.sleep(0.2)
        for _ in clients:
            request = w.opener.request()
            request.reply(NOT_PERMITTED, text=request.labels[0].encode())
        for number, client in enumerate(clients):
            equal(client.receive()["parameters"], {"file": f"f{number}", "reason": f"f{number}"})
            client.client.close()


@test
def an_opener_that_goes_away_with_a_full_queue_is_replaced_at_once():
    with World() as w:
        clients = [w.another() for _ in range(300)]
        for client in clients:
            for _ in range(6):
                client.send("io.porterd.Files.Open", {"file": "x"})
        w.opener.request()
        time.sleep(0.2)
        w.opener.hang_up()
        w.client.send("io.porterd.Files.Check", {"file": "innocent"})
        begin = time.monotonic()
        while True:
            request = w.opener.request()
            request.reply(NOT_PERMITTED, text=b"no")
            if request.labels == ["innocent"]:
                break
        equal(w.client.receive(), {"parameters": {"permitted": False, "reason": "no"}})
        if time.monotonic() - begin > PATIENCE / 2:
            raise AssertionError(f"it took {time.monotonic() - begin:.1f} s")
        for client in clients:
            client.client.close()


@test
def descriptors_that_are_not_taken_leave_room_for_others():
    """A quarter of what the process may hold is for them: 50 of 200."""
    with World(limit=200) as w:
        lazy, other = w.client, w.another()

        def ask(client, count):
            client.send("org.varlink.service.GetInfo")  # left unread, so that the descriptors have to wait
            client.send("io.porterd.Files.OpenMany", {"files": ["x"] * count})

        def answer():
            request = w.opener.request()
            request.reply(fds=[0] * request.count)
        ask(lazy, 40)
        answer()
        time.sleep(0.1)
        other.send("io.porterd.Files.OpenMany", {"files": ["x"] * 20})
        equal(other.receive(), {"error": "io.porterd.Files.Busy"})
        equal("parameters" in w.another().call("io.porterd.Credentials.Get"), True, "a new client")
        other.send("io.porterd.Files.Open", {"file": "x"})
        answer()
        equal(other.receive(), {"parameters": {"descriptor": 0}}, "what still fits")
        lazy.receive()
        equal(lazy.receive(), {"parameters": {"descriptors": list(range(40))}})
        other.send("io.porterd.Files.OpenMany", {"files": ["x"] * 45})
        answer()
        equal(other.receive(), {"parameters": {"descriptors": list(range(45))}}, "after they were taken")
        # Whoever leaves without them gives their place back.
        ask(lazy, 45)
        answer()
        time.sleep(0.1)
        lazy.client.close()
        time.sleep(0.1)
        other.send("io.porterd.Files.OpenMany", {"files": ["x"] * 45})
        answer()
        equal(other.receive(), {"parameters": {"descriptors": list(range(45))}}, "after the other has left")


@test
def sigterm_waits_for_the_answer():
    with World() as w:
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        request = w.opener.request()
        w.program.terminate()
        time.sleep(0.3)
        fd = memfd(b"content")
        request.reply(fds=[fd])
        os.close(fd)
        equal(w.client.receive(), {"parameters": {"descriptor": 0}})
        equal(read_all(w.client.fds[0]), b"content")
        equal(w.client.receive(), None, "the end")
        equal(w.program.wait(), 0, "exit status")


@test
def an_opener_that_says_nothing_is_given_up():
    with World() as w:
        w.client.send("io.porterd.Files.Open", {"file": "a"})
        w.opener.request()
        w.client.client.settimeout(PATIENCE + 15)
        begin = time.monotonic()
        equal(w.client.receive(), {"error": "io.porterd.Files.OpenerUnavailable"})
        if not 8 < time.monotonic() - begin < 14:
            raise AssertionError(f"after {time.monotonic() - begin} s")


main()
