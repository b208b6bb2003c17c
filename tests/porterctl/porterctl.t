#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterctl against a service that answers by table: verbs, exit statuses and error texts."""

import os
import pty
import stat
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fake import *


# --- usage ---

@test
def help_and_version():
    for arguments in (("--help",), ("-h",), ("list", "--help")):
        status, output, errors = porterctl(*arguments)
        equal((status, errors), (0, ""))
        contains(output, "Usage: porterctl", "exec   FILE[?][=FD]... -- COMMAND...", "--json", "Exit status")
    status, output, errors = porterctl("--version")
    equal((status, errors), (0, ""))
    contains(output, "porterctl ")


@test
def wrong_usage_is_told():
    for arguments, words in (
            ((), "a verb is missing"), (("--json",), "a verb is missing"), (("--",), "a verb is missing"),
            (("no-such",), "unknown verb no-such"), (("bench", "a"), "usage of bench: porterctl bench"),
            (("bench", f"--porterd={PORTERD}", "--duration=0"), "--duration=0"), (("list", "--case=a"), "options of bench"),
            (("list", "more"), "usage of list: porterctl list"),
            (("whoami", "--", "more"), "usage of whoami"), (("cat",), "usage of cat: porterctl cat FILE"),
            (("cat", "a", "b"), "usage of cat"), (("check",), "usage of check"), (("echo", "a", "b"), "usage of echo"),
            (("status", "a"), "usage of status"), (("list", "--no-such"), "no-such"), (("list", "--socket"), "socket"),
            (("echo", "--json", "a"), "no JSON"), (("exec",), "usage of exec"),
            (("exec", "a"), "a command is missing"), (("exec", "a", "--"), "a command is missing"),
            (("exec", "--", "true"), "usage of exec"), (("exec", "a", "a", "--", "true"), "a is given twice"),
            (("exec", "a=5", "a=6", "--", "true"), "a is given twice"),
            (("exec", "a=5", "b=5", "--", "true"), "a and b would both be fd 5"),
            (("exec", "a", "b", "c=4", "--", "true"), "b and c would both be fd 4"),
            (("exec", "c=3", "b", "--", "true"), "c and b would both be fd 3"),
            (("exec", "a=", "--", "true"), "no fd number"), (("exec", "a=x", "--", "true"), "no fd number"),
            (("exec", "a=-1", "--", "true"), "no fd number"), (("exec", "a=1x", "--", "true"), "no fd number"),
            (("exec", "a=99999999999999999999", "--", "true"), "no fd number"),
            (("exec", "a=2147483647", "--", "true"), "no fd number"), (("exec", "a=03", "--", "true"), "no fd number"),
            (("exec", "a?", "a=5", "--", "true"), "a is given twice"), (("exec", "a?=x", "--", "true"), "no fd number"),
            (("exec", "a", "b?", "c?=4", "--", "true"), "b and c would both be fd 4"),
            (("exec", "a?", "--", "true", "-k={a}"), '"-k={a}" needs the path of a, but a? may be left out'),
            (("exec", "?", "--", "true"), "name is missing"), (("exec", "?=5", "--", "true"), "name is missing"),
            (("exec", "=5", "--", "true"), "name is missing"), (("exec", "", "--", "true"), "name is missing")):
        status, output, errors = porterctl(*arguments, socket_path=None)
        equal((status, output), (2, ""), f"{arguments}")
        contains(errors, "porterctl: ", words, "Try: porterctl --help")


@test
def options_stand_anywhere():
    with Fake({LIST: reply({"files": []})}) as fake:
        for arguments in (("--json", f"--socket={fake.path}", "list"), ("list", "--json", "--socket", fake.path),
                          (f"--socket={fake.path}", "list", "--json"),
                          (f"--socket={fake.path}", "--json", "--", "list")):
            equal(porterctl(*arguments), (0, '{"files":[]}\n', ""), f"{arguments}")
        equal(porterctl(f"--socket={fake.path}", "list", "--", "--json")[0], 2, "-- ends options")


# --- a service that is not there ---

@test
def unreachable_is_told():
    for arguments, unit in ((("whoami",), "porterd.socket"), (("list", "--json"), "porterd.socket"),
                            (("cat", "a"), "porterd.socket"), (("check", "a"), "porterd.socket"),
                            (("exec", "a", "--", "true"), "porterd.socket"), (("echo", "a"), "porterd-echo.socket")):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "none")
            status, output, errors = porterctl(*arguments, socket_path=path)
            equal((status, output), (3, ""), f"{arguments}")
            contains(errors, f"porterctl: can't connect to {path}: No such file or directory.", "Try: ")
        if not os.path.exists("/run/porterd"):
            status, output, errors = porterctl(*arguments)
            equal((status, output), (3, ""), f"{arguments}")
            contains(errors, "porterctl: can't connect to /run/porterd/", f"Try: systemctl start {unit}\n")
    status, output, errors = porterctl("list", "--socket=@porterctl-test/nobody")
    equal(status, 3)
    contains(errors, "@porterctl-test/nobody: Connection refused")
    equal(porterctl("list", "--socket=")[0], 3)
    equal(porterctl("list", "--socket=" + 200 * "x")[0], 3)


@test
def a_forbidden_socket_is_told():
    def run():
        return porterctl("list", socket_path=fake.path)

    with Fake() as fake:
        os.chmod(fake.path, 0)
        status, output, errors = run() if os.geteuid() != 0 else as_user(70000, 70000, [], run)
        equal((status, output), (3, ""))
        contains(errors, f"can't connect to {fake.path}: Permission denied")


@test
def a_socket_of_another_kind_is_told():
    with Fake(kind=DATAGRAM) as fake:
        status, output, errors = porterctl("list", socket_path=fake.path)
        equal((status, output), (3, ""))
        contains(errors, "no stream socket")


@test
def a_service_that_breaks_off_is_told():
    for arguments, method in ((("whoami",), GET), (("list", "--json"), LIST), (("cat", "a"), OPEN),
                              (("check", "a"), CHECK), (("exec", "a", "--", "true"), OPEN_MANY)):
        for data, words in ((b"", "closed the connection"), (b"garbage\0", "not one of porterd's"),
                            (b"{}\0{}\0", "not one of porterd's")):
            with Fake({method: lambda _: (data, ())}) as fake:
                status, output, errors = porterctl(*arguments, socket_path=fake.path)
                equal((status, output), (3, ""), f"{arguments}")
                contains(errors, f"through {fake.path}: ", words)


# --- verbs ---

@test
def whoami_shows_names():
    with Fake({GET: reply({"credentials": {"uid": 0, "gid": 4294967294, "groups": [0, 4294967293], "pid": 42,
                                           "unit": "a\\x2d\x1b[31m.service", "invocationId": "0af", "securityLabel":
                                           None}})}) as fake:
        equal(porterctl("whoami", socket_path=fake.path),
              (0, "uid:           0 (root)\ngid:           4294967294\ngroups:        0 (root), 4294967293\n"
                  "pid:           42\nunit:          a\\x2d\\x1b[31m.service\ninvocation ID: 0af\n"
                  "label:         -\n", ""))
        status, output, errors = porterctl("whoami", "--json", socket_path=fake.path)
        equal((status, errors), (0, ""))
        equal(json.loads(output)["credentials"]["groups"], [0, 4294967293])
    for groups, words in ((None, "not attested"), ([], "-")):
        with Fake({GET: reply({"credentials": {"uid": 1, "gid": 1, "groups": groups, "pid": 1}})}) as fake:
            contains(porterctl("whoami", socket_path=fake.path)[1], f"groups:        {words}\n", "unit:          -\n")


@test
def list_is_a_table():
    files = [{"name": "nginx-key", "description": "TLS key", "access": "read"},
             {"name": "ä", "description": None, "access": "append"},
             {"name": "evil\r\x9b\u202e", "description": "two\nlines", "access": "read"}]
    with Fake({LIST: reply({"files": files})}) as fake:
        equal(porterctl("list", socket_path=fake.path),
              (0, "FILE                  ACCESS  DESCRIPTION\n"
                  "nginx-key             read    TLS key\n"
                  "ä                     append  -\n"
                  "evil\\x0d\\u009b\\u202e  read    two\\x0alines\n", ""))
        equal(json.loads(porterctl("list", "--json", socket_path=fake.path)[1]), {"files": files})


@test
def a_terminal_gets_no_control_characters():
    files = [{"name": "a\x1b]0;x\x07", "description": "\x9b1m\u202e", "access": "read"}]
    with Fake({LIST: reply({"files": files})}) as fake:
        for arguments in (("list",), ("list", "--json")):
            reader, writer = pty.openpty()
            done = subprocess.run(WRAPPER + [PORTERCTL, *arguments, f"--socket={fake.path}"], stdout=writer,
                                  stderr=subprocess.PIPE, timeout=PATIENCE * 6, check=False)
            os.close(writer)
            output = os.read(reader, 65536)
            os.close(reader)
            equal(done.returncode, 0)
            for byte in output:
                if byte not in b"\r\n" and not 0x20 <= byte < 0x7f:
                    raise AssertionError(f"{output!r}")


@test
def check_tells_why():
    with Fake({CHECK: reply({"permitted": True, "reason": "user matches"})}) as fake:
        equal(porterctl("check", "key", socket_path=fake.path), (0, "permitted: user matches\n", ""))
        equal(fake.requests, [{"method": CHECK, "parameters": {"file": "key"}}])
        equal(porterctl("check", "key", "--json", socket_path=fake.path),
              (0, '{"permitted":true,"reason":"user matches"}\n', ""))
    with Fake({CHECK: reply({"permitted": False, "reason": "no \x1b[1munit"})}) as fake:
        equal(porterctl("check", "key", socket_path=fake.path), (1, "refused: no \\x1b[1munit\n", ""))
        equal(porterctl("check", "--json", "key", socket_path=fake.path)[0], 1)


@test
def refusals_are_told():
    name = "io.porterd.Files."
    for error, parameters, status, words in (
            ("UnknownFile", {"file": "key"}, 1, "can't open key through SOCKET: the policy has no file of that name"),
            ("NotPermitted", {"file": "key", "reason": "wrong\x1b unit"}, 1, "not permitted: wrong\\x1b unit"),
            ("FileMissing", {"file": "key"}, 1, "missing"), ("WrongType", {"file": "key"}, 1, "something else"),
            ("UnsafeMode", {"file": "key"}, 1, "Deliver=copy"), ("TooManyFiles", {"limit": 253}, 1, "too many"),
            ("OpenerUnavailable", {}, 3, "systemctl status porterd-opener.socket"), ("Busy", {}, 1, "Try again"),
            ("Unheard", {}, 1, "answered io.porterd.Files.Unheard")):
        with Fake({OPEN: refusal(name + error, **parameters), OPEN_MANY: refusal(name + error, **parameters)}) as fake:
            words = words.replace("SOCKET", fake.path)
            for arguments in (("cat", "key"), ("exec", "key", "--", "echo", "not to be run")):
                got, output, errors = porterctl(*arguments, socket_path=fake.path)
                equal((got, output), (status, ""), f"{error} of {arguments}")
                contains(errors, "porterctl: can't open key through", words)
            got, output, errors = porterctl("cat", "key", "--json", socket_path=fake.path)
            equal((got, json.loads(output)), (status, {"error": name + error, "parameters": parameters}))
            contains(errors, words)
    with Fake({OPEN_MANY: refusal(name + "NotPermitted", file="two", reason="because")}) as fake:
        got, output, errors = porterctl("exec", "one", "two", "--", "true", socket_path=fake.path)
        equal((got, output), (1, ""))
        contains(errors, "can't open two through", "because")


@test
def cat_prints_all_of_it():
    content = os.urandom(1000003)
    with Fake({OPEN: reply({"descriptor": 0}, content)}) as fake:
        status, output, errors = porterctl("cat", "key", socket_path=fake.path)
        equal((status, errors), (0, ""))
        equal(output.encode(errors="surrogateescape") == content, True, "content is the same")
        equal(fake.requests, [{"method": OPEN, "parameters": {"file": "key"}}])


@test
def cat_waits_for_a_non_blocking_fd():
    def slow_pipe():
        reader, writer = os.pipe2(os.O_NONBLOCK)

        def write():
            for piece in (b"late", b" and", b" slow"):
                time.sleep(0.1)
                os.write(writer, piece)
            os.close(writer)

        threading.Thread(target=write).start()
        return reader

    with Fake({OPEN: reply({"descriptor": 0}, slow_pipe)}) as fake:
        equal(porterctl("cat", "key", socket_path=fake.path), (0, "late and slow", ""))


@test
def cat_tells_what_it_cannot_do():
    with Fake({OPEN: reply({"descriptor": 0}, lambda: os.open("/dev/null", os.O_WRONLY))}) as fake:
        status, output, errors = porterctl("cat", "log", socket_path=fake.path)
        equal((status, output), (1, ""))
        contains(errors, "can't read log: it is given for writing only")
    with Fake({OPEN: reply({"descriptor": 0}, b"content"), LIST: reply({"files": []})}) as fake:
        for arguments in (["cat", "key"], ["list"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(WRAPPER + [PORTERCTL, *arguments, f"--socket={fake.path}"], stdout=full,
                                      stderr=subprocess.PIPE, timeout=PATIENCE * 6, check=False)
            equal(done.returncode, 1)
            contains(done.stderr.decode(), "can't write to standard output: No space left on device")
        # Python has SIGPIPE ignored, and so have services: then it is an error like another.
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(WRAPPER + [PORTERCTL, "cat", "key", f"--socket={fake.path}"], stdout=writer,
                              stderr=subprocess.PIPE, timeout=PATIENCE * 6, check=False, restore_signals=False)
        os.close(writer)
        equal(done.returncode, 1)
        contains(done.stderr.decode(), "can't write to standard output: Broken pipe")


# --- echo ---

def serve_echo(client):
    """As porterd: stops reading while the client does not read."""
    while True:
        data = client.recv(65536)
        if not data:
            return
        client.sendall(data)


@test
def echo_sends_a_line():
    with Fake(serve=serve_echo) as fake:
        equal(porterctl("echo", "hello", socket_path=fake.path), (0, "hello\n", ""))
        equal(porterctl("echo", "", socket_path=fake.path), (0, "\n", ""))
        equal(porterctl("echo", "--", "--json", socket_path=fake.path), (0, "--json\n", ""))
        equal(porterctl("echo", socket_path=fake.path, stdin=b""), (0, "", ""))
        equal(porterctl("echo", 100000 * "x", socket_path=fake.path), (0, 100000 * "x" + "\n", ""))
    with Fake(serve=serve_echo, path=f"@porterctl-test/{os.getpid()}") as fake:
        equal(porterctl("echo", "abstract", socket_path=fake.path), (0, "abstract\n", ""))


@test
def echo_of_much_input_does_not_stop():
    data = os.urandom(5000011)
    with Fake(serve=serve_echo) as fake:
        status, output, errors = porterctl("echo", socket_path=fake.path, stdin=data)
        equal((status, errors), (0, ""))
        equal(output.encode(errors="surrogateescape") == data, True, "what came back is what was sent")


@test
def echo_of_packets():
    for kind in (SEQPACKET, DATAGRAM):
        with Fake(serve=serve_echo, kind=kind) as fake:
            equal(porterctl("echo", "hello", socket_path=fake.path), (0, "hello\n", ""))
            data = os.urandom(300007)
            status, output, errors = porterctl("echo", socket_path=fake.path, stdin=data)
            equal((status, errors), (0, ""))
            equal(output.encode(errors="surrogateescape") == data, True, "what came back is what was sent")


@test
def echo_tells_what_is_lost():
    with Fake(serve=lambda client: client.send(client.recv(3))) as fake:
        status, output, errors = porterctl("echo", "hello", socket_path=fake.path)
        equal((status, output), (3, "hel"))
        contains(errors, f"{fake.path}: the connection ended after 3 of 6 bytes")


# --- status ---

SYSTEMCTL = r"""#!/bin/sh
for argument; do echo "$argument"; done >"$SEEN"
cat <<END
Accept=no
NConnections=0
NAccepted=0
NRefused=0
Result=success
Id=porterd.socket
LoadState=loaded
ActiveState=active
SubState=running

Accept=yes
NConnections=2
NAccepted=17
NRefused=1
Result=success
Id=porterd-isolated.socket
LoadState=loaded
ActiveState=active
SubState=listening

Accept=yes
NConnections=0
NAccepted=0
NRefused=0
MainPID=0
Id=porterd-isolated-echo.socket
LoadState=${ISOLATED_ECHO:-not-found}
ActiveState=inactive
SubState=dead

Id=porterd-echo.socket
LoadState=loaded
ActiveState=failed
SubState=failed
Result=trigger-limit-hit

MainPID=4711
StatusText=connections: 1, requests: 10, dropped-records: 0
Result=success
Id=porterd.service
LoadState=loaded
ActiveState=active
SubState=running

MainPID=0
StatusText=
Result=success
Id=porterd-opener.service
LoadState=loaded
ActiveState=inactive
SubState=dead
END
exit ${STATUS:-0}
"""


class FakeSystemctl:
    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="porterctl-test-")
        self.seen = os.path.join(self.directory, "seen")
        path = os.path.join(self.directory, "systemctl")
        with open(path, "w", encoding="ascii") as script:
            script.write(SYSTEMCTL)
        os.chmod(path, stat.S_IRWXU)
        self.environment = {"PATH": self.directory + ":" + os.environ["PATH"], "SEEN": self.seen}
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.directory)


@test
def status_is_a_table():
    with FakeSystemctl() as fake:
        equal(porterctl("status", environment=fake.environment), (0, (
            "UNIT                          STATE                       PID   STATUS\n"
            "porterd.socket                active (running)            -     -\n"
            "porterd-credentials.socket    unknown                     -     -\n"
            "porterd-echo.socket           failed (trigger-limit-hit)  -     -\n"
            "porterd-opener.socket         unknown                     -     -\n"
            "porterd-isolated.socket       active (listening)          -     "
            "accepted: 17, connections: 2, refused: 1\n"
            "porterd-isolated-echo.socket  not-found                   -     -\n"
            "porterd.service               active (running)            4711  "
            "connections: 1, requests: 10, dropped-records: 0\n"
            "porterd-opener.service        inactive (dead)             -     -\n"), ""))
        with open(fake.seen, encoding="ascii") as seen:
            words = seen.read().split()
        equal((words[0], words[2][:14], words[3]), ("show", "--property=Id,", "porterd.socket"))
        equal(len(words), 3 + 8)


@test
def status_as_json():
    with FakeSystemctl() as fake:
        status, output, errors = porterctl("status", "--json", environment=fake.environment)
        equal((status, errors), (0, ""))
        units = json.loads(output)["units"]
        equal(units["porterd.service"], {"load": "loaded", "active": "active", "sub": "running", "pid": 4711, "status":
                                         {"connections": 1, "requests": 10, "dropped-records": 0}})
        equal(units["porterd-opener.service"]["pid"], None)
        equal(units["porterd-opener.service"]["status"], None)
        equal(units["porterd-isolated.socket"], {"load": "loaded", "active": "active", "sub": "listening",
                                                 "accepted": 17, "connections": 2, "refused": 1})
        # What systemd prints of sockets that it does not accept for, that are not there, or do not listen, says nothing.
        for name in ("porterd.socket", "porterd-isolated-echo.socket"):
            equal([units[name][key] for key in ("accepted", "connections", "refused")], [None] * 3, name)
        equal(len(units), 8)


@test
def sockets_that_do_not_listen_have_no_counts():
    with FakeSystemctl() as fake:
        environment = dict(fake.environment, ISOLATED_ECHO="loaded")
        status, output, errors = porterctl("status", environment=environment)
        equal((status, errors), (0, ""))
        contains(output, "porterd-isolated-echo.socket  inactive (dead)             -     -\n")
        units = json.loads(porterctl("status", "--json", environment=environment)[1])["units"]
        equal(units["porterd-isolated-echo.socket"]["accepted"], None)


@test
def status_without_systemd():
    with tempfile.TemporaryDirectory() as empty:
        # Sanitizers and wrappers are found by their own paths.
        wrapped = [shutil.which(WRAPPER[0])] + WRAPPER[1:] if WRAPPER else []
        done = subprocess.run(wrapped + [PORTERCTL, "status"], env=dict(os.environ, PATH=empty), timeout=PATIENCE * 6,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        equal((done.returncode, done.stdout), (3, b""))
        contains(done.stderr.decode(), "porterctl: systemctl is not found.")
    with FakeSystemctl() as fake:
        status, output, errors = porterctl("status", environment=dict(fake.environment, STATUS="1"))
        equal((status, output), (3, ""))
        contains(errors, "porterctl: systemctl could not ask systemd. Is it running?")


main()
