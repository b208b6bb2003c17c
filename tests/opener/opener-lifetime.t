#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How the opener starts, refuses to start, reads its policy anew, tells its state, and ends."""

import errno
import os
import signal
import subprocess
import time

from fixture import *


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
        porterd.settimeout(PATIENCE)
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


def wrong_start(status, said, **how):
    with Opener(wait=False, **how) as opener:
        equal(opener.wait(), status, "exit status")
        contains(opener.said, said)
        equal(len(opener.said.splitlines()), 1, "lines")


@test
def wrong_starts():
    wrong_start(78, "not what the opener serves", name="varlink")
    wrong_start(78, "not what the opener serves", kinds=(STREAM,))
    wrong_start(78, "not what the opener serves", kinds=(DATAGRAM,))
    wrong_start(78, "not what the opener serves", listen=False)
    wrong_start(78, "not what the opener serves", kinds=(SEQPACKET, STREAM))
    wrong_start(64, "systemctl start porterd-opener.socket", kinds=())
    wrong_start(78, "--config-dir=/nowhere: ", options=["--config-dir=/nowhere"])
    for seconds in ("x", "-1", "+1", " 1", "01", "1s", "", "99999999"):
        wrong_start(64, f"--exit-idle={seconds}", options=[f"--exit-idle={seconds}"])
    wrong_start(64, "--client-socket=x: ", options=["--client-socket=x"])
    wrong_start(64, "more: not an option", options=["more"])
    wrong_start(64, "--nonsense", options=["--nonsense"])


@test
def a_start_that_fails_names_its_step():
    """The recorder has a descriptor, and then there are no more."""
    wrong_start(1, "The opener can't start: opening the loop failed: " + os.strerror(errno.EMFILE), limit=5)


def checked(directory):
    """What --check-policy says of the policy there: exit status, standard output and standard error."""
    done = subprocess.run([OPENER, "--check-policy", f"--config-dir={directory}"], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr


@test
def a_policy_is_checked_before_it_is_in_force():
    with some_file() as file, Opener(grant("key", file.name)) as opener:
        directory = opener.path(".")
        equal(checked(directory), (0, "1 file may be granted, 0 never\n", ""))
        opener.write_policy(grant("key", file.name) + "[wrong]\nPath=relative\nAllowUser=0\n")
        status, counts, said = checked(directory)
        equal((status, counts), (78, "1 file may be granted, 1 never\n"))
        contains(said, f"{opener.path('files.conf')}:6: [wrong] Path=: ")
        os.chmod(opener.path("files.conf"), 0o666)
        status, counts, said = checked(directory)
        equal((status, counts), (78, "0 files may be granted, 0 never\n"))
        contains(said, opener.path("files.conf"))
    equal(checked("/nowhere")[0], 78)


@test
def help_and_version():
    shown = subprocess.run([OPENER, "--help"], capture_output=True, text=True, check=True).stdout
    contains(shown, "--config-dir=DIR")
    shown = subprocess.run([OPENER, "--version"], capture_output=True, text=True, check=True).stdout
    contains(shown, "porterd-opener ")
    equal(subprocess.run([OPENER, "--nonsense"], capture_output=True, check=False).returncode, 64)


main()
