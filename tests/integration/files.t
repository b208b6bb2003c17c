#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole way of a file: client, porterd, porterd-opener, and back. And porterctl on top of it."""

import json
import os
import signal
import socket
import stat

from world import *


@test
def only_what_stays_the_same_is_answered_from_memory():
    with World(POLICY) as world:
        world.file("key")
        client = world.connect()
        client.call("io.porterd.Credentials.Get")
        for number in range(2):
            equal(client.call("io.porterd.Files.Open", {"file": "key"}), {"parameters": {"descriptor": 0}})
            equal(len(client.fds), number + 1, "descriptors")
        for fd in client.fds:
            os.close(fd)


@test
def open_gives_the_content():
    with World(POLICY) as w:
        w.file("key", "secret")
        client = w.connect()
        equal(read_all(client.open("key")), b"secret")
        if "granted" not in w.opener.log() and "opened" not in w.opener.log():
            raise AssertionError("no record of it")


@test
def append_creates_and_appends():
    with World(POLICY) as w:
        client = w.connect()
        for text in (b"one\n", b"two\n"):
            fd = client.open("log")
            os.write(fd, text)
            os.close(fd)
        path = os.path.join(w.directory, "log")
        equal(open(path, "rb").read(), b"one\ntwo\n")
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o640, "mode")


@test
def a_copy_is_sealed():
    with World(POLICY) as w:
        w.file("copied", "copy")
        client = w.connect()
        fd = client.open("copied")
        try:
            os.write(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), b"x")
            raise AssertionError("it could be written to")
        except PermissionError:
            pass
        equal(read_all(fd), b"copy")


@test
def every_refusal():
    with World(POLICY) as w:
        client = w.connect()
        for name, error in (("nonsense", "UnknownFile"), ("gone", "FileMissing"), ("directory", "WrongType"),
                            ("other", "NotPermitted")):
            reply = client.call("io.porterd.Files.Open", {"file": name})
            equal(reply["error"], f"io.porterd.Files.{error}", name)
            equal(reply["parameters"]["file"], name)
            eventually(lambda: f"PORTERD_FILE={name}" in w.opener.log(), f"a record about {name}")
        equal(client.fds, [], "descriptors")


@test
def open_many_is_all_or_nothing():
    with World(POLICY) as w:
        w.file("key", "secret")
        w.file("copied", "copy")
        client = w.connect()
        equal(client.call("io.porterd.Files.OpenMany", {"files": ["copied", "key", "copied"]}),
              {"parameters": {"descriptors": [0, 1, 2]}})
        equal([read_all(fd) for fd in client.fds], [b"copy", b"secret", b"copy"])
        client.fds = []
        reply = client.call("io.porterd.Files.OpenMany", {"files": ["key", "gone", "copied"]})
        equal(reply, {"error": "io.porterd.Files.FileMissing", "parameters": {"file": "gone"}})
        equal(client.fds, [], "descriptors")


@test
def list_and_check():
    with World(POLICY) as w:
        w.file("key")
        client = w.connect()
        files = {f["name"]: f for f in client.call("io.porterd.Files.List")["parameters"]["files"]}
        equal(sorted(files), ["copied", "directory", "gone", "key", "log", "mine", "passwd"], "listed")
        equal(files["key"], {"name": "key", "description": "A key", "access": "read-write"})
        for name, permitted in (("key", True), ("other", False), ("gone", False)):
            reply = client.call("io.porterd.Files.Check", {"file": name})["parameters"]
            equal(reply["permitted"], permitted, name)
            equal(bool(reply["reason"]), True, "a reason")
        equal(client.call("io.porterd.Files.Check", {"file": "nonsense"})["error"], "io.porterd.Files.UnknownFile")


@test
def who_binds_a_socket_is_refused():
    with World(POLICY) as w, socket.socket(socket.AF_UNIX, STREAM) as bound:
        w.file("key")
        bound.settimeout(PATIENCE)
        bound.bind("")
        bound.connect(w.porterd.path)
        client = Varlink(bound)
        equal(client.call("io.porterd.Files.List"), {"error": "org.varlink.service.PermissionDenied"})
        equal(client.call("io.porterd.Files.Open", {"file": "key"})["error"], "io.porterd.Files.NotPermitted")
        equal(client.call("io.porterd.Files.Check", {"file": "key"})["parameters"]["permitted"], False)


@test
def another_user_is_judged_as_himself():
    with World(POLICY) as w:
        w.file("key", "mine")
        w.file("other", "theirs")

        def ask():
            client = w.connect()
            first = client.call("io.porterd.Files.Open", {"file": "key"})
            second = client.call("io.porterd.Files.Open", {"file": "other"})
            return [first.get("error"), second, read_all(client.fds.pop()).decode()]
        equal(as_user(4242, 4242, [], ask),
              ["io.porterd.Files.NotPermitted", {"parameters": {"descriptor": 0}}, "theirs"])


@test
def a_descriptor_that_could_be_made_writable_is_refused():
    if ME != 0:
        raise Skip("only root can give files to others")
    with World("[open]\nPath={d}/closed/file\nAllowUser=4242\n") as w:
        os.mkdir(os.path.join(w.directory, "closed"), 0o700)
        w.file("closed/file", mode=0o666)

        def ask():
            return w.connect().call("io.porterd.Files.Open", {"file": "open"})
        equal(as_user(4242, 4242, [], ask), {"error": "io.porterd.Files.UnsafeMode", "parameters": {"file": "open"}})
        # That the path is open, too, says nothing: the client's mounts need not be the opener's.
        os.chmod(os.path.join(w.directory, "closed"), 0o755)
        equal(as_user(4242, 4242, [], ask), {"error": "io.porterd.Files.UnsafeMode", "parameters": {"file": "open"}})
        os.chmod(os.path.join(w.directory, "closed", "file"), 0o600)
        equal(as_user(4242, 4242, [], ask), {"parameters": {"descriptor": 0}})


@test
def an_owner_can_not_be_kept_to_reading():
    with World(POLICY) as w:
        w.file("mine", "mine")
        client = w.connect()
        reply = client.call("io.porterd.Files.Open", {"file": "mine"})
        # Root owns nearly everything, and is judged by the path.
        equal(reply, {"parameters": {"descriptor": 0}} if ME == 0 else
              {"error": "io.porterd.Files.UnsafeMode", "parameters": {"file": "mine"}})
        equal(client.call("io.porterd.Files.Open", {"file": "passwd"}), {"parameters": {"descriptor": 0}})
        equal(os.pread(client.fds[-1], 4, 0), open("/etc/passwd", "rb").read(4))


@test
def reload_takes_what_is_right_and_keeps_what_was():
    with World(POLICY) as w:
        w.file("key", "secret")
        client = w.connect()
        equal(client.call("io.porterd.Files.Open", {"file": "key"}), {"parameters": {"descriptor": 0}})
        w.write_policy(POLICY + "\n[wrong]\nPath=relative\nAllowUser={me}\n")
        w.opener.process.send_signal(signal.SIGHUP)
        eventually(lambda: "[wrong]" in w.opener.log(), "an error about it")
        line = POLICY.count("\n") + 3
        if f"files.conf:{line}" not in w.opener.log():
            raise AssertionError(f"no line {line}: {w.opener.log()}")
        equal(client.call("io.porterd.Files.Open", {"file": "key"}), {"parameters": {"descriptor": 0}})
        w.write_policy("[new]\nPath={d}/key\nAccess=read-write\nAllowUser={me}\n")
        w.opener.process.send_signal(signal.SIGHUP)
        eventually(lambda: client.call("io.porterd.Files.Open", {"file": "new"}).get("parameters", {}).get(
            "descriptor") == 0, "the new policy")
        equal(client.call("io.porterd.Files.Open", {"file": "key"})["error"], "io.porterd.Files.UnknownFile")


@test
def both_processes_keep_no_descriptors():
    with World(POLICY) as w:
        w.file("key")
        client = w.connect()
        client.call("io.porterd.Files.Open", {"file": "key"})
        # The opener forgets who asked when they don't ask again within one or two seconds.
        time.sleep(2.5)
        before = (w.porterd.fds(), w.opener.fds())
        for _ in range(100):
            client.call("io.porterd.Files.OpenMany", {"files": ["key"] * 20})
            # Ours are closed as they come: 1,024 is as many as most shells let us have.
            while client.fds:
                os.close(client.fds.pop())
            client.call("io.porterd.Files.OpenMany", {"files": ["key"] * 20 + ["gone"]})
            client.call("io.porterd.Files.Check", {"file": "key"})
        eventually(lambda: (w.porterd.fds(), w.opener.fds()) == before, "fds of porterd and the opener as before")


@test
def porterctl_from_end_to_end():
    with World(POLICY) as w:
        w.file("key", "secret\n")
        done = w.porterctl("cat", "key")
        equal((done.returncode, done.stdout), (0, b"secret\n"), f"cat ({done.stderr})")
        done = w.porterctl("cat", "other")
        equal((done.returncode, done.stdout), (1, b""), "cat of what is refused")
        if b"other" not in done.stderr:
            raise AssertionError(f"its error does not name the file: {done.stderr}")
        done = w.porterctl("whoami", "--json")
        got = json.loads(done.stdout)
        got = got.get("credentials", got)
        equal(got["uid"], ME, "whoami")
        equal(w.porterctl("check", "key").returncode, 0, "check")
        equal(w.porterctl("check", "other").returncode, 1, "check of what is refused")
        equal(b"key" in w.porterctl("list").stdout, True, "list")
        done = w.porterctl("exec", "key", "--", "/bin/sh", "-c", 'cat <&3; cat "$1"; echo "$LISTEN_FDS $LISTEN_FDNAMES"',
                           "sh", "{key}")
        equal(done.stdout.decode().splitlines()[0], "secret", f"exec ({done.stderr})")
        equal(done.stdout.decode().splitlines()[-1], "1 key", "exec's environment")


main()
