#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole opener: whom it answers what, and that nobody keeps it from the others."""

import os
import socket
import tempfile
import time

from fixture import *


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
            lazy.settimeout(PATIENCE)
            for serial in range(sent):
                reply = receive(lazy)
                equal((reply["serial"], reply["result"], len(reply["fds"])), (serial, OK, 1))
                os.close(reply["fds"][0])
            equal(ask(lazy, request(CHECK, ["key"]), accepted)["result"], OK)


@test
def without_a_record_a_file_that_needs_one_is_refused():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with some_file() as file, os.fdopen(reader, "rb", 0) as log, os.fdopen(writer, "wb", 0) as pipe, \
            Opener(grant("key", file.name, "AuditRequired=yes") + grant("free", file.name), errors=pipe) as opener, \
            opener.connect() as porterd:
        accepted, _end = opener.client()
        contains(log.read(65536).decode(), "The policy was read")
        while pipe.write(b"x" * 4096):
            pass
        for _ in range(3):
            reply = ask(porterd, request(OPEN, ["free", "key"]), accepted)
            equal((reply["result"], reply["index"], reply["fds"]), (BUSY, 1, []))
            contains(reply["text"], "the journal takes no records")
        contains(opener.state("unrecorded: "), "granted: 0, refused: 6, dropped-records: 6, files: 2, unrecorded: 3")
        reply = ask(porterd, request(OPEN, ["free"]), accepted)
        equal((reply["result"], len(reply["fds"])), (OK, 1))
        os.close(reply["fds"][0])
        # Its record comes after the answer, and finds no room either.
        opener.state("dropped-records: 7")
        log.read(1 << 20)

        # As soon as there is room it says what happened, and grants again.
        said = ""
        while "PORTERD_REFUSED=3" not in said:
            said += log.read(65536).decode()
        contains(said, "7 records were dropped")
        reply = ask(porterd, request(OPEN, ["key"]), accepted)
        equal((reply["result"], len(reply["fds"])), (OK, 1))
        os.close(reply["fds"][0])
        contains(log.read(65536).decode(), "PORTERD_RESULT=granted")


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
    with Opener() as opener, opener.connect() as other:
        accepted, _end = opener.client()
        for _ in range(2):
            equal(ask(other, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)
        before = opener.fds()
        with opener.connect() as one, opener.connect() as laden:
            one.send(b"")
            equal(one.recv(1), b"")
            # It can bring descriptors, and they do not stay.
            send(laden, b"", accepted)
            equal(laden.recv(1), b"")
            equal(ask(other, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)
        equal(opener.fds(), before, "descriptors")


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
def without_descriptors_new_connections_wait():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as early:
        accepted, _end = opener.client()
        equal(ask(early, request(OPEN, ["key"]), accepted)["result"], OK)
        pid = opener.process.pid
        with so_many_descriptors(3, pid):
            late = opener.connect()
            send(late, request(OPEN, ["key"]), accepted)
            opener.says("New connections wait: Too many open files")
            time.sleep(0.5)
            ticks = [int(open(f"/proc/{pid}/stat").read().split()[field]) for field in (13, 14)]
            if sum(ticks) > 20:
                raise AssertionError(f"waiting took {ticks} ticks")
        with late:
            equal(receive(late)["result"], OK)
        equal(opener.stop(), 0)
        equal(opener.said.count("New connections wait"), 1, "complaints")


@test
def without_descriptors_a_request_is_answered_at_once():
    with some_file() as file, Opener(grant("key", file.name)) as opener, opener.connect() as porterd:
        accepted, _end = opener.client()
        equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], OK)
        with so_many_descriptors(3, opener.process.pid):
            reply = ask(porterd, request(OPEN, ["key"], serial=4711), accepted)
        equal((reply["result"], reply["serial"], reply["operation"]), (BUSY, 4711, OPEN))
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


@test
def two_sockets():
    with Opener(kinds=(SEQPACKET, SEQPACKET)) as opener:
        accepted, _end = opener.client()
        for number in range(2):
            with socket.socket(socket.AF_UNIX, SEQPACKET) as porterd:
                porterd.connect(opener.path(f"opener{number}"))
                equal(ask(porterd, request(CHECK, ["key"]), accepted)["result"], UNKNOWN)


main()
