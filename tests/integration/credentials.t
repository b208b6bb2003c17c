#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""io.porterd.Credentials on all its sockets, asked by several users."""

import json
import os
import pwd
import socket

from harness import *

INTERFACE = "io.porterd.Credentials"


def ask_stream(program, method, parameters=None):
    with program.connect() as client:
        return Varlink(client).call(f"{INTERFACE}.{method}", parameters)


def ask_packet(client, method, parameters=None):
    message = {"method": f"{INTERFACE}.{method}"}
    if parameters is not None:
        message["parameters"] = parameters
    client.send(json.dumps(message).encode())
    reply = client.recv(65536)
    if b"\0" in reply:
        raise AssertionError("a NUL in a packet")
    return json.loads(reply)


def ask_seqpacket(program, method, parameters=None):
    with program.connect() as client:
        return ask_packet(client, method, parameters)


def prepare_datagrams(program):
    """Starts the daemon: without PassCredentials= in a socket unit, the kernel attests only what is sent after it
    has asked for that."""
    os.chmod(program.directory, 0o777)
    with program.datagram_client(f"first-{os.getpid()}") as client:
        first_answer(client, lambda: ask_packet(client, "Get"))


def ask_datagram(program, method, parameters=None):
    name = f"client-{os.getpid()}"
    with program.datagram_client(name) as client:
        try:
            # The daemon answers to a socket that its own user must be able to write to.
            os.chmod(os.path.join(program.directory, name), 0o777)
            return ask_packet(client, method, parameters)
        finally:
            os.unlink(os.path.join(program.directory, name))


WAYS = ((STREAM, "varlink", ask_stream), (SEQPACKET, "credentials", ask_seqpacket),
        (DATAGRAM, "credentials", ask_datagram))


def check_get(kind, name, ask, accept=False):
    with Program(kind, name, accept=accept) as program:
        if kind == DATAGRAM:
            prepare_datagrams(program)
        got = ask(program, "Get")["parameters"]["credentials"]
        equal((got["uid"], got["gid"], got["pid"]), (os.geteuid(), os.getegid(), os.getpid()), "uid, gid, pid")
        if kind == DATAGRAM:
            equal(got["groups"], None, "groups of a datagram")
        else:
            equal(sorted(got["groups"]), sorted(os.getgroups()), "groups")
        equal(set(got), {"uid", "gid", "groups", "pid", "unit", "invocationId", "securityLabel"}, "fields")


@test
def get_on_a_stream():
    check_get(*WAYS[0])


@test
def get_on_a_seqpacket_socket():
    check_get(*WAYS[1])


@test
def get_on_a_datagram_socket():
    check_get(*WAYS[2])


@test
def get_accepted():
    check_get(*WAYS[0], accept=True)
    check_get(*WAYS[1], accept=True)


@test
def get_by_other_users():
    for kind, name, ask in WAYS:
        with Program(kind, name) as program:
            if kind == DATAGRAM:
                prepare_datagrams(program)
            for uid, gid, groups in ((12345, 23456, [4, 77777]), (70000, 70000, []), (4000000000, 1, [2])):
                def get():
                    return [os.getpid(), ask(program, "Get")["parameters"]["credentials"]]
                pid, got = as_user(uid, gid, groups, get)
                equal((got["uid"], got["gid"], got["pid"]), (uid, gid, pid), f"uid, gid, pid on {name}")
                if kind != DATAGRAM:
                    equal(sorted(got["groups"]), sorted(groups), "groups")


@test
def check_lists():
    me = pwd.getpwuid(os.geteuid()).pw_name
    table = (
        ({}, True, []),
        (None, True, []),
        ({"users": None, "groups": None, "units": None}, True, []),
        ({"users": [str(os.geteuid())]}, True, []),
        ({"users": [me]}, True, []),
        ({"users": ["no-such-user", me]}, True, []),
        ({"users": ["no-such-user"]}, False, ["users"]),
        ({"users": []}, False, ["users"]),
        ({"users": ["", ":", "-1", "4294967295", "99999999999999999999", me + ":"]}, False, ["users"]),
        ({"groups": [str(os.getegid())]}, True, []),
        ({"groups": ["3999999999"]}, False, ["groups"]),
        ({"units": ["no-such.service"]}, False, ["units"]),
        ({"users": [me], "groups": ["3999999999"], "units": []}, False, ["groups", "units"]),
    )
    for kind, name, ask in WAYS[:2]:
        with Program(kind, name) as program:
            for parameters, satisfied, failed in table:
                equal(ask(program, "Check", parameters),
                      {"parameters": {"satisfied": satisfied, "failed": failed}}, f"Check {parameters}")


@test
def check_takes_so_many_names():
    for kind, name, ask in WAYS[:2]:
        with Program(kind, name) as program:
            equal("parameters" in ask(program, "Check", {"users": ["x"] * 64}), True, "64")
            equal(ask(program, "Check", {"groups": ["x"] * 65}),
                  {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "groups"}}, "65")


@test
def nobody_satisfies_nothing():
    nobody = 65534
    for kind, name, ask in WAYS[:2]:
        with Program(kind, name) as program:
            for parameters, failed in (({}, []), ({"users": ["65534", "nobody"]}, ["users"]),
                                       ({"groups": ["65534"]}, ["groups"])):
                got = as_user(nobody, nobody, [], lambda: ask(program, "Check", parameters))
                equal(got, {"parameters": {"satisfied": False, "failed": failed}}, f"Check {parameters} by nobody")


@test
def packets_know_credentials_alone():
    with Program(SEQPACKET, "credentials") as program, program.connect() as client:
        client.send(b'{"method":"io.porterd.Files.List"}')
        equal(json.loads(client.recv(1000)), {"error": "org.varlink.service.InterfaceNotFound",
                                              "parameters": {"interface": "io.porterd.Files"}})
        client.send(b'{"method":"io.porterd.Credentials.Get","oneway":true}')
        client.send(b'{"method":"io.porterd.Credentials.Nope"}')
        equal(json.loads(client.recv(1000)), {"error": "org.varlink.service.MethodNotFound",
                                              "parameters": {"method": "io.porterd.Credentials.Nope"}})


@test
def malformed_packet_ends_its_connection_and_no_other():
    with Program(SEQPACKET, "credentials") as program, program.connect() as good:
        for packet in (b"", b"x", b"[]", b'{"method":"io.porterd.Credentials.Get"}\0', b'{"method":1}', b"{" * 70000):
            with program.connect() as bad:
                bad.send(packet)
                equal(bad.recv(100), b"", f"the end after {packet[:20]!r}")
        good.send(b'{"method":"io.porterd.Credentials.Get"}')
        equal("parameters" in json.loads(good.recv(1000)), True, "the other connection")


@test
def malformed_and_unanswerable_datagrams_are_passed_over():
    with Program(DATAGRAM, "credentials") as program:
        prepare_datagrams(program)
        client, unbound = program.datagram_client("client"), program.datagram_client()
        for packet in (b"", b"x", b"[]", b'{"method":1}', b"{" * 70000):
            client.send(packet)
        unbound.send(b'{"method":"io.porterd.Credentials.Get"}')
        equal("parameters" in ask_packet(client, "Get"), True, "the next datagram")


@test
def datagram_sent_before_the_kernel_was_asked_is_not_answered():
    with Program(DATAGRAM, "credentials") as program:
        client = program.datagram_client("client")
        client.send(b'{"method":"io.porterd.Credentials.Check"}')
        prepare_datagrams(program)
        client.settimeout(0.2)
        try:
            raise AssertionError(f"an answer to a datagram without credentials: {client.recv(1000)}")
        except TimeoutError:
            pass


@test
def datagram_with_fds_is_refused():
    with Program(DATAGRAM, "credentials") as program:
        prepare_datagrams(program)
        client = program.datagram_client("client")
        equal("parameters" in ask_packet(client, "Get"), True, "the first")
        before = program.fds()
        for count in (1, 64, 253):
            send_fds(client, b'{"method":"io.porterd.Credentials.Get"}', [0] * count)
        equal("parameters" in ask_packet(client, "Check"), True, "the next")
        equal(program.fds(), before, "fds of the daemon")
        client.setblocking(False)
        try:
            raise AssertionError(f"an answer to a message with fds: {client.recv(1000)}")
        except BlockingIOError:
            pass


@test
def pipelined_packets():
    with Program(SEQPACKET, "credentials") as program, program.connect() as client:
        for _ in range(5):
            client.send(b'{"method":"io.porterd.Credentials.Check","parameters":{"users":["0"]}}')
        for _ in range(5):
            equal("satisfied" in json.loads(client.recv(1000))["parameters"], True)


main()
