#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterctl exec: what the command finds, and what it does not."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fake import *
from world import World

# What COMMAND of exec finds: its fds with their content, its arguments, and its part of the environment.
SHOW = r"""
import json, os, select, sys
fds = {}
for fd in sorted(int(n) for n in os.listdir("/proc/self/fd")):
    try:
        fds[fd] = os.pread(fd, 100, 0).decode() if fd > 2 else "standard"
    except OSError as error:
        fds[fd] = error.strerror
names = [n for n in os.environ if n.startswith("LISTEN_")]
# The directory that was listed has an fd of its own, which is closed by now.
fds = {fd: content for fd, content in fds.items() if content != "Bad file descriptor"}
# Since Linux 6.9 every process's pidfds are an inode of their own; before, all were that of epoll's and others.
epoll = select.epoll()
own, other = os.fstat(os.pidfd_open(os.getpid())), os.fstat(epoll.fileno())
json.dump({"fds": fds, "arguments": sys.argv[1:], "pid": os.getpid(),
           "pidfd": {} if own.st_dev == other.st_dev else {"LISTEN_PIDFDID": str(own.st_ino)},
           "environment": {n: os.environ[n] for n in sorted(names)}}, sys.stdout)
"""


def run_exec(fake, *arguments, **options):
    status, output, errors = porterctl("exec", *arguments, socket_path=fake.path, **options)
    equal((status, errors), (0, ""))
    seen = json.loads(output)
    # Older versions of valgrind give the program no pidfds.
    if under_valgrind() and "LISTEN_PIDFDID" not in seen["environment"]:
        seen["pidfd"] = {}
    return seen


@test
def exec_passes_files_as_systemd_does():
    with Fake({OPEN_MANY: open_many}) as fake:
        seen = run_exec(fake, "one", "two:b", "three", "--", sys.executable, "-c", SHOW, "{three}",
                        "-k{one}:{two:b}{x}{{one}", "--json", "{}", "{one", "--", environment={
                            "LISTEN_FDS": "7", "LISTEN_PID": "1", "LISTEN_FDNAMES": "old", "LISTEN_PIDFDID": "5"})
        equal(fake.requests, [{"method": OPEN_MANY, "parameters": {"files": ["one", "two:b", "three"]}}])
        equal(seen["fds"], {"0": "standard", "1": "standard", "2": "standard", "3": "content of one",
                            "4": "content of two:b", "5": "content of three"})
        equal(seen["arguments"], ["/proc/self/fd/5", "-k/proc/self/fd/3:/proc/self/fd/4{x}{/proc/self/fd/3", "--json",
                                  "{}", "{one", "--"])
        equal(seen["environment"], {"LISTEN_FDS": "3", "LISTEN_PID": str(seen["pid"]),
                                    "LISTEN_FDNAMES": "one:two_b:three", **seen["pidfd"]})


@test
def exec_keeps_the_process():
    with Fake({OPEN_MANY: open_many}) as fake:
        process = subprocess.Popen(WRAPPER + [PORTERCTL, "exec", f"--socket={fake.path}", "a", "--", "sh", "-c",
                                              "echo $$ $LISTEN_PID; cat {a}; exit 42"], stdout=subprocess.PIPE)
        output = process.communicate(timeout=PATIENCE * 6)[0].decode()
        equal((process.returncode, output), (42, f"{process.pid} {process.pid}\ncontent of a"))


@test
def exec_puts_files_where_they_are_wanted():
    with Fake({OPEN_MANY: open_many}) as fake:
        # The received fds come at 3 and up themselves, so each of these has to make room for others.
        seen = run_exec(fake, "a=7", "b", "c=6", "d", "e=5", "f=9", "--", sys.executable, "-c", SHOW, "{a}{b}{c}")
        equal(seen["fds"], {"0": "standard", "1": "standard", "2": "standard", "3": "content of b",
                            "4": "content of d", "5": "content of e", "6": "content of c", "7": "content of a",
                            "9": "content of f"})
        equal(seen["arguments"], ["/proc/self/fd/7/proc/self/fd/3/proc/self/fd/6"])
        equal(seen["environment"]["LISTEN_FDS"], "2")
        equal(seen["environment"]["LISTEN_FDNAMES"], "b:d")
        seen = run_exec(fake, "a=4", "b=3", "--", sys.executable, "-c", SHOW)
        equal(seen["fds"], {"0": "standard", "1": "standard", "2": "standard", "3": "content of b",
                            "4": "content of a"})
        equal(seen["environment"], {}, "nothing that counts as passed")


def lacking(*missing, error="io.porterd.Files.FileMissing"):
    """As open_many(), but for files that it refuses with this error."""
    def answer(parameters):
        for name in parameters["files"]:
            if name in missing:
                return {"error": error, "parameters": {"file": name, "reason": "because"}}, ()
        return open_many(parameters)
    return {OPEN_MANY: answer}


@test
def exec_leaves_out_what_is_missing():
    command = ("--", sys.executable, "-c", SHOW, "{a}{c}{f}")
    standard = {"0": "standard", "1": "standard", "2": "standard"}
    with Fake(lacking("b", "d", "g")) as fake:
        seen = run_exec(fake, "a", "b?", "c", "d?=17", "e?=18", "f", "g?", *command)
        equal([request["parameters"]["files"] for request in fake.requests],
              [list("abcdefg"), list("acdefg"), list("acefg"), list("acef")], "all that there are, or none")
        equal(seen["fds"], {**standard, "3": "content of a", "4": "content of c", "5": "content of f",
                            "18": "content of e"})
        equal(seen["arguments"], ["/proc/self/fd/3/proc/self/fd/4/proc/self/fd/5"])
        equal(seen["environment"], {"LISTEN_FDS": "3", "LISTEN_PID": str(seen["pid"]), "LISTEN_FDNAMES": "a:c:f",
                                    **seen["pidfd"]})
    with Fake(lacking()) as fake:
        seen = run_exec(fake, "a?", "b?=9", "c", *command[:-1])
        equal(seen["fds"], {**standard, "3": "content of a", "4": "content of c", "9": "content of b"})
        equal(seen["environment"]["LISTEN_FDNAMES"], "a:c", "what is there is passed as without `?`")


@test
def exec_runs_with_nothing():
    with Fake(lacking("a", "b")) as fake:
        seen = run_exec(fake, "a?", "b?", "--", sys.executable, "-c", SHOW)
        equal((seen["fds"], seen["environment"]), ({"0": "standard", "1": "standard", "2": "standard"}, {}))
        equal(porterctl("exec", "a?=0", "--", "cat", socket_path=fake.path, stdin=b"as it was"), (0, "as it was", ""))


@test
def exec_leaves_nothing_else_out():
    for words, missing, error, told in (
            (("a", "b?"), "a", "FileMissing", "can't open a through"),
            (("a?", "b"), "b", "FileMissing", "can't open b through"),
            (("a", "b?"), "b", "NotPermitted", "not permitted: because"),
            (("a?",), "a", "NotPermitted", "not permitted: because"),
            (("a?",), "a", "UnknownFile", "no file of that name"), (("a?",), "a", "WrongType", "something else"),
            (("a?",), "a", "Busy", "too busy")):
        with Fake(lacking(missing, error=f"io.porterd.Files.{error}")) as fake:
            status, output, errors = porterctl("exec", *words, "--", "echo", "not to be run", socket_path=fake.path)
            equal((status, output), (1, ""), f"{words}, {error}")
            contains(errors, told)
    for parameters in ({}, {"file": "b"}, {"file": ""}):
        with Fake({OPEN_MANY: refusal("io.porterd.Files.FileMissing", **parameters)}) as fake:
            status, output, errors = porterctl("exec", "a?", "--", "echo", "not to be run", socket_path=fake.path)
            equal((status, output), (1, ""), f"missing: {parameters}")
            contains(errors, "the file is missing")


POLICY = """
[key]
Path={d}/key
Access=read-write
AllowUser={me}

[gone]
Path={d}/gone
AllowUser={me}

[others]
Path={d}/gone
AllowUser=4242
"""


@test
def the_service_tells_what_is_missing_and_what_is_refused():
    with World(POLICY) as world:
        world.file("key")
        show = ("--", "sh", "-c", "echo $LISTEN_FDS $LISTEN_FDNAMES; cat {key}")
        done = world.porterctl("exec", "gone?", "key", *show)
        equal((done.returncode, done.stdout, without_notes(done.stderr.decode())), (0, b"1 key\ncontent", ""))
        for word in ("others?", "nobody-knows?"):
            done = world.porterctl("exec", word, "key", *show)
            equal((done.returncode, done.stdout), (1, b""), word)


@test
def exec_redirects():
    with Fake({OPEN_MANY: open_many}) as fake:
        equal(porterctl("exec", "a=0", "--", "cat", socket_path=fake.path), (0, "content of a", ""))
        status, output, errors = porterctl("exec", "a=2", "--", "/no/such/program", socket_path=fake.path)
        equal((status, output), (127, ""))
        contains(errors, "porterctl: can't run /no/such/program: No such file or directory")


@test
def exec_takes_many_files():
    names = [f"file-{i}" for i in range(253)]
    with Fake({OPEN_MANY: open_many}) as fake:
        seen = run_exec(fake, *names, "--", sys.executable, "-c", SHOW)
        for i, name in enumerate(names):
            equal(seen["fds"][str(3 + i)], f"content of {name}")
        equal(len(seen["fds"]), 3 + 253)
        equal(porterctl("exec", *names, "more", "--", "true", socket_path=fake.path)[0], 2)


@test
def exec_replaces_what_was_passed_before():
    # LISTEN_PID has to name porterctl itself, which the shell knows before it becomes it.
    with Fake({OPEN_MANY: open_many}) as fake, tempfile.NamedTemporaryFile() as other:
        script = ("export LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=x:y:z; "
                  "exec 3<\"$0\" 4<\"$0\" 5<\"$0\" 9<\"$0\"; exec \"$@\"")
        done = subprocess.run(["sh", "-c", script, other.name] + WRAPPER +
                              [PORTERCTL, "exec", f"--socket={fake.path}", "a", "--", sys.executable, "-c", SHOW],
                              stdout=subprocess.PIPE, timeout=PATIENCE * 6, check=False)
        seen = json.loads(done.stdout)
        equal(seen["fds"], {"0": "standard", "1": "standard", "2": "standard", "3": "content of a", "9": ""})
        equal(seen["environment"]["LISTEN_FDNAMES"], "a")


@test
def exec_works_without_standard_fds():
    with Fake({OPEN_MANY: open_many, LIST: reply({"files": []})}) as fake, \
            tempfile.TemporaryDirectory() as directory:
        # What is printed goes nowhere, least of all into a socket that took the place of stdout.
        done = subprocess.run(["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", PORTERCTL, "list",
                               f"--socket={fake.path}"], timeout=PATIENCE * 6, check=False)
        equal(done.returncode, 0)
        target = os.path.join(directory, "seen")
        # Never through a wrapper: valgrind itself takes the free places for its own files.
        done = subprocess.run(["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", PORTERCTL, "exec",
                               f"--socket={fake.path}", "a", "b", "--", "sh", "-c",
                               f"cat {{a}} {{b}} >{target}"], timeout=PATIENCE * 6, check=False)
        equal(done.returncode, 0)
        with open(target, encoding="ascii") as seen:
            equal(seen.read(), "content of acontent of b")


@test
def exec_tells_why_a_command_does_not_run():
    with Fake({OPEN_MANY: open_many}) as fake, tempfile.NamedTemporaryFile() as plain:
        for command, status, words in (("no-such-command-here", 127, "No such file or directory"),
                                       ("/no/such", 127, "No such file or directory"),
                                       (plain.name, 126, "Permission denied"), ("/", 126, "Permission denied")):
            got, output, errors = porterctl("exec", "a", "--", command, socket_path=fake.path)
            equal((got, output, errors), (status, "", f"porterctl: can't run {command}: {words}\n"))


main()
