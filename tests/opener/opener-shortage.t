#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The opener when a kernel or a process is short of something: requests wait or are answered with Busy, it is said
once, and then all is as before."""

import contextlib
import errno

from fixture import *

# As long as nothing comes within this time, nothing comes.
MOMENT = 0.4
# What accept4() may be short of, and what opening a file may: that needs no buffer of a socket.
ACCEPTING = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
OPENING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# Where a process is short of descriptors, a message comes without them (opener.t).
RECEIVING = (errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@contextlib.contextmanager
def short_opener(*lines):
    """A kernel that can be short of something, an opener under it, a connection of porterd's and a client's."""
    with some_file() as file, ShortOf() as short, \
            Opener(grant("key", file.name, *lines), front=short.front) as opener, opener.connect() as porterd:
        accepted, end = opener.client()
        with accepted, end:
            # What is kept of a client is complete when it has asked twice.
            check_served(porterd, accepted)
            check_served(porterd, accepted)
            yield short, opener, porterd, accepted


def check_served(porterd, accepted):
    reply = ask(porterd, request(OPEN, ["key"]), accepted)
    check_granted(reply)


def check_granted(reply):
    equal((reply["result"], len(reply["fds"])), (OK, 1), "result and descriptors")
    for fd in reply["fds"]:
        os.close(fd)


def is_silent(connection, seconds=MOMENT):
    return not select.select([connection], [], [], seconds)[0]


@test
def new_connections_wait_while_none_can_be_accepted():
    for number in ACCEPTING:
        with short_opener() as (short, opener, porterd, accepted):
            before = opener.fds()
            short.of("accept", number)
            with opener.connect() as late:
                send(late, request(OPEN, ["key"]), accepted)
                equal(is_silent(late), True, "who came when there was nothing waits")
                check_served(porterd, accepted)
                check_rests(opener)
                short.of_nothing()
                check_granted(receive(late))
            said = opener.says(os.strerror(number))
            equal(said.count("New connections wait"), 1, "records about it")
            equal(opener.fds(), before, "descriptors")


def opening(call):
    """Each request is answered at once. It has its record, as every refusal has, and that says why."""
    for number in OPENING:
        for lines in (), ("Access=read", "Deliver=copy"):
            with short_opener(*lines) as (short, opener, porterd, accepted):
                before = opener.fds()
                short.of(call, number)
                for serial in range(3):
                    reply = ask(porterd, request(OPEN, ["key"], serial=serial), accepted)
                    equal((reply["result"], reply["serial"], reply["fds"]), (BUSY, serial, []), os.strerror(number))
                check_rests(opener, 0.2)
                short.of_nothing()
                check_served(porterd, accepted)
                opener.says(os.strerror(number))
                equal(opener.fds(), before, "descriptors")


@test
def a_file_that_cannot_be_found_just_now_is_busy():
    opening("openat2")


@test
def a_file_that_cannot_be_opened_just_now_is_busy():
    opening("openat")


@test
def a_file_that_may_be_made_is_busy_and_not_made():
    for number in OPENING:
        with short_opener() as (short, opener, porterd, accepted):
            path = opener.path("made")
            opener.write_policy(grant("made", path, "Access=append", "Create=yes"))
            opener.reload()
            for call in "openat2", "openat":
                short.of(call, number)
                equal(ask(porterd, request(OPEN, ["made"]), accepted)["result"], BUSY, f"{call} fails")
                equal(os.path.exists(path), False, "the file is there")
            short.of_nothing()
            check_granted(ask(porterd, request(OPEN, ["made"]), accepted))


@test
def what_cannot_be_received_waits():
    """Nothing spins, it is said once, and afterwards the request is answered as any other."""
    for number in RECEIVING:
        with short_opener() as (short, opener, porterd, accepted):
            before = opener.fds()
            short.of("receive", number)
            send(porterd, request(OPEN, ["key"]), accepted)
            equal(is_silent(porterd), True, "the request waits")
            check_rests(opener)
            equal(is_silent(porterd), True, "the request still waits")
            short.of_nothing()
            check_granted(receive(porterd))
            check_served(porterd, accepted)
            said = opener.says(os.strerror(number))
            equal(said.count("New connections wait"), 1, "records about it")
            equal(opener.fds(), before, "descriptors")
            equal(opener.stop(), 0, "exit status")


@test
def who_hangs_up_meanwhile_is_forgotten():
    with short_opener() as (short, opener, porterd, accepted):
        with opener.connect() as late:
            check_served(late, accepted)
            before = opener.fds()
            short.of("receive", errno.ENOMEM)
            send(late, request(OPEN, ["key"]), accepted)
            equal(is_silent(late), True, "the request waits")
        check_rests(opener)
        short.of_nothing()
        eventually(lambda: opener.fds() == before - 1, "its descriptor is closed")
        check_served(porterd, accepted)


@test
def descriptors_that_cannot_be_sent_any_more_are_said():
    """At once, the record says that they were refused; after the reply had to wait, another one says so."""
    with short_opener() as (short, opener, porterd, accepted):
        before = opener.fds()
        short.of("send", errno.ETOOMANYREFS)
        equal(ask(porterd, request(OPEN, ["key"]), accepted)["result"], BUSY, "at once")
        opener.says("descriptors that porterd was sent before are unread PORTERD_CLIENT")
        short.of("send", errno.EAGAIN)
        send(porterd, request(OPEN, ["key"], serial=7), accepted)
        equal(is_silent(porterd), True, "there is no room")
        short.of("send", errno.ETOOMANYREFS)
        reply = receive(porterd)
        equal((reply["result"], reply["serial"], reply["fds"]), (BUSY, 7, []), "later")
        opener.says("1 files whose records say granted were not handed out")
        short.of_nothing()
        check_served(porterd, accepted)
        equal(opener.fds(), before, "descriptors")

        # Nor can they when porterd has gone meanwhile.
        short.of("send", errno.EAGAIN)
        send(porterd, request(OPEN, ["key", "key"]), accepted)
        equal(is_silent(porterd), True, "there is no room")
        short.of("send", errno.EPIPE)
        opener.says("2 files whose records say granted were not handed out")


main()
