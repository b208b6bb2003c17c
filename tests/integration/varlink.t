#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Varlink on the wire: framing, envelopes, limits, and what one client's faults do to others."""

import json
import os
import socket
import time

from harness import *

GET = b'{"method":"io.porterd.Credentials.Get"}\0'
CHECK = b'{"method":"io.porterd.Credentials.Check"}\0'
SATISFIED = {"parameters": {"satisfied": True, "failed": []}}


def replies(client, count):
    varlink = Varlink(client)
    return [varlink.receive() for _ in range(count)]


@test
def the_same_call_again_gets_the_same_reply():
    """Get is answered from what it was answered before, but only the very same call is."""
    get = "io.porterd.Credentials.Get"
    with Program(name="varlink") as program, program.connect() as client:
        varlink = Varlink(client)
        first = varlink.call(get)
        equal(first["parameters"]["credentials"]["pid"], os.getpid())
        for _ in range(3):
            equal(varlink.call(get), first)
        equal(varlink.call("io.porterd.Credentials.Check", {"users": [str(os.geteuid())]}),
              {"parameters": {"satisfied": True, "failed": []}})
        equal(varlink.call(get, {}), first)
        equal(varlink.call(get, {"x": 1})["error"], "org.varlink.service.InvalidParameter")
        equal(varlink.call(get), first)
        # No reply to a oneway call, the first time and again.
        for _ in range(2):
            varlink.send(get, oneway=True)
        equal(varlink.call("io.porterd.Credentials.Gets")["error"], "org.varlink.service.MethodNotFound")
        equal(varlink.call(get), first)
        # Many at once, with others in between.
        for _ in range(50):
            varlink.send(get)
            varlink.send("io.porterd.Credentials.Gets")
        for _ in range(50):
            equal(varlink.receive(), first)
            equal(varlink.receive()["error"], "org.varlink.service.MethodNotFound")
        # Nothing at all is no call, and no beginning of the one that is known.
        client.sendall(b"\0")
        equal(varlink.receive(), None, "after an empty message")
        # Another client's reply is its own.
        with program.connect() as other:
            equal(Varlink(other).call(get), first)
    def in_child():
        with program.connect() as client:
            varlink = Varlink(client)
            return [varlink.call(get)["parameters"]["credentials"]["uid"] for _ in range(2)]
    with Program(name="varlink") as program:
        os.chmod(program.directory, 0o755)
        with program.connect() as client:
            varlink = Varlink(client)
            uid = varlink.call(get)["parameters"]["credentials"]["uid"]
            if os.geteuid() == 0:
                equal(as_user(4242, 4242, [], in_child), [4242, 4242])
            equal(varlink.call(get)["parameters"]["credentials"]["uid"], uid)


@test
def get_info():
    with Program(name="varlink") as program, program.connect() as client:
        info = Varlink(client).call("org.varlink.service.GetInfo")["parameters"]
        equal(info["interfaces"], ["org.varlink.service", "io.porterd.Credentials", "io.porterd.Files"])
        equal(sorted(info), ["interfaces", "product", "url", "vendor", "version"])


@test
def descriptions_are_the_files():
    files = {"org.varlink.service": "varlink", "io.porterd.Credentials": "services", "io.porterd.Files": "services"}
    with Program(name="varlink") as program, program.connect() as client:
        for interface, room in files.items():
            text = open(os.path.join(SOURCE, "src", room, f"{interface}.varlink")).read()
            reply = Varlink(client).call("org.varlink.service.GetInterfaceDescription", {"interface": interface})
            equal(reply, {"parameters": {"description": text}}, interface)


@test
def standard_errors():
    service = "org.varlink.service"
    table = (
        ("nix", None, "InterfaceNotFound", {"interface": "nix"}),
        ("a.b.C", None, "InterfaceNotFound", {"interface": "a.b"}),
        ("io.porterd.Files.", None, "MethodNotFound", {"method": "io.porterd.Files."}),
        ("io.porterd.Files.open", None, "MethodNotFound", {"method": "io.porterd.Files.open"}),
        ("io.porterd.Files.Open", None, "InvalidParameter", {"parameter": "file"}),
        ("io.porterd.Files.Open", {"file": 1}, "InvalidParameter", {"parameter": "file"}),
        ("io.porterd.Files.Open", {"file": None}, "InvalidParameter", {"parameter": "file"}),
        ("io.porterd.Files.Open", {"file": "x", "extra": None}, "InvalidParameter", {"parameter": "extra"}),
        ("io.porterd.Files.OpenMany", {"files": ["a", 1]}, "InvalidParameter", {"parameter": "files"}),
        ("io.porterd.Credentials.Get", {"x": 1}, "InvalidParameter", {"parameter": "x"}),
        ("io.porterd.Credentials.Check", {"users": "root"}, "InvalidParameter", {"parameter": "users"}),
        (f"{service}.GetInterfaceDescription", {"interface": "a.b"}, "InterfaceNotFound", {"interface": "a.b"}),
    )
    with Program(name="varlink") as program, program.connect() as client:
        varlink = Varlink(client)
        for method, parameters, error, details in table:
            equal(varlink.call(method, parameters), {"error": f"{service}.{error}", "parameters": details}, method)
        equal(varlink.call("io.porterd.Credentials.Get", upgrade=True),
              {"error": f"{service}.MethodNotImplemented", "parameters": {"method": "io.porterd.Credentials.Get"}})


@test
def any_split_and_any_merge():
    stream = CHECK * 3
    with Program(name="varlink") as program:
        for cut in range(1, len(CHECK) + 2):
            with program.connect() as client:
                client.sendall(stream[:cut])
                time.sleep(0.002)
                client.sendall(stream[cut:])
                equal(replies(client, 3), [SATISFIED] * 3, f"cut at {cut}")
        with program.connect() as client:
            for byte in CHECK:
                client.sendall(bytes([byte]))
            equal(replies(client, 1), [SATISFIED], "byte by byte")


@test
def pipelined_calls_are_answered_in_order():
    with Program(name="varlink") as program, program.connect() as client:
        calls = b"".join(json.dumps({"method": f"a.b{n}.C"}).encode() + b"\0" for n in range(2000))
        client.sendall(calls)
        for n, reply in enumerate(replies(client, 2000)):
            equal(reply["parameters"], {"interface": f"a.b{n}"})


@test
def who_does_not_read_is_not_read_from():
    with Program(name="varlink") as program, program.connect() as lazy, program.connect() as other:
        lazy.setblocking(False)
        pushed = 0
        try:
            while pushed < 64 << 20:
                pushed += lazy.send(GET * 100)
                time.sleep(0)
        except BlockingIOError:
            time.sleep(0.2)
            try:
                while pushed < 64 << 20:
                    pushed += lazy.send(GET * 100)
            except BlockingIOError:
                pass
        if pushed >= 8 << 20:
            raise AssertionError(f"took {pushed} bytes of calls without a reply being read")
        equal("parameters" in Varlink(other).call("io.porterd.Credentials.Get"), True, "the other client")


@test
def oneway_is_never_answered():
    with Program(name="varlink") as program, program.connect() as client:
        varlink = Varlink(client)
        varlink.send("io.porterd.Credentials.Get", oneway=True)
        varlink.send("a.b.C", oneway=True)
        varlink.send("io.porterd.Files.Open", {"file": "x"}, oneway=True)
        equal(varlink.call("io.porterd.Credentials.Check"), SATISFIED)


@test
def half_close_is_answered():
    with Program(name="varlink") as program, program.connect() as client:
        client.sendall(CHECK * 2)
        client.shutdown(socket.SHUT_WR)
        equal(replies(client, 3), [SATISFIED, SATISFIED, None])


@test
def parameters_absent_null_or_empty_are_alike():
    with Program(name="varlink") as program, program.connect() as client:
        for parameters in (b"", b',"parameters":null', b',"parameters":{}', b',"parameters":{"users":null}',
                           b',"oneway":null,"more":false', b',"org.example":{"any":[1]}'):
            client.sendall(b'{ "method" : "io.porterd.Credentials.Check"' + parameters + b"}\0")
            equal(replies(client, 1), [SATISFIED], parameters)


@test
def malformed_closes_that_connection_and_no_other():
    deep = b'{"method":"a.b.C","parameters":{"x":' + b"[" * 62 + b"]" * 62 + b"}}\0"
    table = (
        b"\0", b"{\0", b"[]\0", b'"x"\0', b"null\0", b"{}\0", b'{"method":1}\0', b'{"method":null}\0',
        b'{"method":"a.b.C","method":"a.b.C"}\0', b'{"method":"a.b.C"}x\0', b'{"method":"a.b.C","parameters":[]}\0',
        b'{"method":"a.b.C","oneway":1}\0', b'{"method":"a.b.C","oneway":true,"more":true}\0',
        b'{"method":"a.b.C","unknown":1}\0', b'{"method":"a.b.C","org.example":1}\0', b'{"method":"\xff"}\0',
        b'{"method":"a\\u0000b"}\0', deep.replace(b"[", b"[[").replace(b"]", b"]]"),
        b"x" * (1 << 20) + b"xx",
        # Small on the wire, large in memory.
        b'{"method":"a.b.C","parameters":{"x":[' + b"{}," * 20000 + b"{}]}}\0",
    )
    with Program(name="varlink") as program, program.connect() as good:
        varlink = Varlink(good)
        equal(varlink.call("io.porterd.Credentials.Check"), SATISFIED)
        for message in table:
            with program.connect() as bad:
                # What was asked before is answered; what comes after is not.
                try:
                    bad.sendall(CHECK + message + CHECK)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                try:
                    got = replies(bad, 2)
                except ConnectionResetError:
                    # Bytes were left unread, so the kernel tells the end like this, after what was answered.
                    got = [SATISFIED, None]
                equal(got, [SATISFIED, None], f"{message[:60]!r}")
            equal(varlink.call("io.porterd.Credentials.Check"), SATISFIED, f"the other after {message[:60]!r}")
        with program.connect() as client:
            client.sendall(deep)
            equal(replies(client, 1)[0]["error"], "org.varlink.service.InterfaceNotFound", "64 levels")


@test
def what_the_library_does_not_hold_is_a_wrong_parameter_or_nothing():
    """Valid JSON, beyond 64 bits, a double or a string of C: it does not close a connection."""
    values = (b'"\\u0000"', b'"root\\u0000"', b"9223372036854775808", b"18446744073709551615", b"-99999999999999999999",
              b"1e400", b'"\\ud834"')
    with Program(name="varlink") as program, program.connect() as client:
        for value in values:
            for parameters, wrong in ((b'{"users":[%s]}', "users"), (b'{"users":%s}', "users"), (b'{"x":%s}', "x"),
                                      (b'{"groups":["root"],"users":["root",%s]}', "users")):
                client.sendall(b'{"method":"io.porterd.Credentials.Check","parameters":' + parameters % value + b"}\0")
                equal(replies(client, 1), [{"error": "org.varlink.service.InvalidParameter",
                                            "parameters": {"parameter": wrong}}], parameters % value)
            client.sendall(b'{"method":"io.porterd.Credentials.Check","org.example":{"x\\u0000y":[' + value + b"]}}\0")
            equal(replies(client, 1), [SATISFIED], value)
        client.sendall(b'{"method":"io.porterd.Credentials.Check","parameters":{"a\\u0000b":1}}\0')
        equal(replies(client, 1)[0]["error"], "org.varlink.service.InvalidParameter", "in a name")


@test
def a_message_of_the_largest_size():
    frame = b'{"method":"a.b.C","parameters":{"x":"%s"}}'
    with Program(name="varlink") as program, program.connect() as client:
        client.sendall(frame % (b"x" * ((1 << 20) - len(frame) + 2)) + b"\0")
        equal(replies(client, 1)[0]["error"], "org.varlink.service.InterfaceNotFound")


@test
def fds_sent_along_do_not_stay():
    with Program(name="varlink") as program, program.connect() as client:
        varlink = Varlink(client)
        equal(varlink.call("io.porterd.Credentials.Check"), SATISFIED)
        before = program.fds()
        for _ in range(20):
            if send_fds(client, CHECK, [0] * 253):
                equal(varlink.receive(), SATISFIED)
        equal(program.fds(), before, "fds of the daemon")


@test
def accepted_is_the_same():
    with Program(name="varlink", accept=True) as program:
        for _ in range(2):
            with program.connect() as client:
                client.sendall(CHECK * 2 + GET)
                got = replies(client, 3)
                equal(got[:2], [SATISFIED] * 2)
                equal(got[2]["parameters"]["credentials"]["pid"], os.getpid())
        eventually(lambda: program.log().count("died with code 0") == 2, "both processes ended well")


@test
def without_an_opener_files_are_unavailable_and_the_rest_works():
    with Program(name="varlink", arguments=["--opener=/nonexistent/opener"]) as program, \
            program.connect() as client:
        varlink = Varlink(client)
        for method, parameters in (("Open", {"file": "x"}), ("OpenMany", {"files": ["x", "y"]}), ("List", {}),
                                   ("Check", {"file": "x"})):
            equal(varlink.call(f"io.porterd.Files.{method}", parameters),
                  {"error": "io.porterd.Files.OpenerUnavailable"}, method)
        equal(varlink.call("io.porterd.Files.OpenMany", {"files": []}), {"parameters": {"descriptors": []}})
        equal(varlink.call("io.porterd.Files.OpenMany", {"files": ["x"] * 254}),
              {"error": "io.porterd.Files.TooManyFiles", "parameters": {"limit": 253}})
        equal(varlink.call("io.porterd.Files.Open", {"file": "x" * 64}),
              {"error": "io.porterd.Files.UnknownFile", "parameters": {"file": "x" * 64}})
        equal(varlink.call("io.porterd.Credentials.Check"), SATISFIED)


main()
