#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterctl against a service that answers by table: every verb, exit status and error text."""

import os
import pty
import stat
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import *

PORTERCTL = os.path.join(BUILD, "porterctl")
GET = "io.porterd.Credentials.Get"
LIST = "io.porterd.Files.List"
CHECK = "io.porterd.Files.Check"
OPEN = "io.porterd.Files.Open"
OPEN_MANY = "io.porterd.Files.OpenMany"

# What COMMAND of exec finds: its fds with their content, its arguments, and its part of the environment.
SHOW = r"""
import json, os, sys
fds = {}
for fd in sorted(int(n) for n in os.listdir("/proc/self/fd")):
    try:
        fds[fd] = os.pread(fd, 100, 0).decode() if fd > 2 else "standard"
    except OSError as error:
        fds[fd] = error.strerror
names = [n for n in os.environ if n.startswith("LISTEN_")]
# The directory that was listed has an fd of its own, which is closed by now.
fds = {fd: content for fd, content in fds.items() if content != "Bad file descriptor"}
json.dump({"fds": fds, "arguments": sys.argv[1:], "pid": os.getpid(),
           "environment": {n: os.environ[n] for n in sorted(names)}}, sys.stdout)
"""


class Fake:
    """A Varlink service on a stream socket. `answers` maps methods to functions of the parameters: each returns
    a reply (a dictionary, or bytes that are sent as they are) and a list of contents to pass as files."""

    def __init__(self, answers=None, path=None, kind=STREAM, serve=None):
        self.directory = tempfile.mkdtemp(prefix="porterctl-test-")
        os.chmod(self.directory, 0o755)
        self.path = path or os.path.join(self.directory, "socket")
        self.answers = answers or {}
        self.requests = []
        self.serve = serve or self.serve_varlink
        self.listener = socket.socket(socket.AF_UNIX, kind)
        self.listener.bind("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        if not self.path.startswith("@"):
            os.chmod(self.path, 0o666)
        if kind != DATAGRAM:
            self.listener.listen(5)
        self.thread = threading.Thread(target=self.run if kind != DATAGRAM else self.run_datagrams, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                try:
                    self.serve(client)
                except (BrokenPipeError, ConnectionResetError):
                    pass

    def run_datagrams(self):
        while True:
            try:
                data, sender = self.listener.recvfrom(1 << 20)
            except OSError:
                return
            if not data:
                return
            self.listener.sendto(data, sender)

    def serve_varlink(self, client):
        buffer = b""
        while True:
            data = client.recv(65536)
            if not data:
                return
            buffer += data
            while b"\0" in buffer:
                request, buffer = buffer.split(b"\0", 1)
                request = json.loads(request)
                self.requests.append(request)
                reply, contents = self.answers[request["method"]](request["parameters"])
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\0"
                fds = [make_file(content) for content in contents]
                if data:
                    send_fds(client, data, fds) if fds else client.sendall(data)
                for fd in fds:
                    os.close(fd)
                if not data:
                    return

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        # close() alone would leave accept() waiting.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        shutil.rmtree(self.directory)


def make_file(content):
    """An fd with this content; a callable makes its own."""
    if callable(content):
        return content()
    fd = os.memfd_create("content")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def reply(parameters, *contents):
    return lambda _: ({"parameters": parameters}, contents)


def refusal(name, **parameters):
    return lambda _: ({"error": name, "parameters": parameters}, ())


def open_many(parameters):
    """Opens whatever is asked for, and hands the fds over in the opposite order."""
    files = parameters["files"]
    return {"parameters": {"descriptors": list(reversed(range(len(files))))}}, \
        [f"content of {name}".encode() for name in reversed(files)]


def porterctl(*arguments, socket_path=None, stdin=b"", environment=None, **options):
    """Returns (exit status, stdout, stderr), the latter two as text."""
    command = WRAPPER + [PORTERCTL] + list(arguments[:1])
    if socket_path:
        command.append(f"--socket={socket_path}")
    command += arguments[1:]
    variables = dict(os.environ)
    for name, value in (environment or {}).items():
        variables[name] = value
        if value is None:
            del variables[name]
    if "stdin" not in options:
        options["input"] = stdin
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=variables, timeout=PATIENCE * 6, check=False, **options)
    errors = done.stderr.decode(errors="replace")
    if "Sanitizer" in errors or "runtime error" in errors:
        raise AssertionError(errors)
    return done.returncode, done.stdout.decode(errors="surrogateescape"), errors


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r:.2000}")


# --- usage ---

@test
def help_and_version():
    for arguments in (("--help",), ("-h",), ("list", "--help")):
        status, output, errors = porterctl(*arguments)
        equal((status, errors), (0, ""))
        contains(output, "Usage: porterctl", "exec   FILE[=FD]... -- COMMAND...", "--json", "Exit status")
        if "bench" in output:
            raise AssertionError("help promises a verb that does not exist")
    status, output, errors = porterctl("--version")
    equal((status, errors), (0, ""))
    contains(output, "porterctl ")


@test
def wrong_usage_is_told():
    for arguments, words in (
            ((), "a verb is missing"), (("--json",), "a verb is missing"), (("--",), "a verb is missing"),
            (("no-such",), "unknown verb no-such"), (("bench",), "unknown verb bench"),
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
            (("exec", "a=2147483647", "--", "true"), "no fd number"),
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


# --- exec ---

def run_exec(fake, *arguments, **options):
    status, output, errors = porterctl("exec", *arguments, socket_path=fake.path, **options)
    equal((status, errors), (0, ""))
    return json.loads(output)


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
                                    "LISTEN_FDNAMES": "one:two_b:three"})


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


# --- status ---

SYSTEMCTL = r"""#!/bin/sh
for argument; do echo "$argument"; done >"$SEEN"
cat <<'END'
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

MainPID=0
Id=porterd-isolated-echo.socket
LoadState=not-found
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
        equal(len(units), 8)


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
