# SPDX-License-Identifier: MIT
"""What the tests of porterctl share: a service that answers by table, and how porterctl is run."""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import *

PORTERCTL = os.path.join(BUILD, "tests", "porterctl", "porterctl")
GET = "io.porterd.Credentials.Get"
LIST = "io.porterd.Files.List"
CHECK = "io.porterd.Files.Check"
OPEN = "io.porterd.Files.Open"
OPEN_MANY = "io.porterd.Files.OpenMany"


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


def without_notes(errors):
    """What a program said on stderr, without valgrind's remarks on system calls that it does not know."""
    return re.sub(r"^--\d+-- .*\n", "", errors, flags=re.MULTILINE) if under_valgrind() else errors


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
    errors = without_notes(done.stderr.decode(errors="replace"))
    if "Sanitizer" in errors or "runtime error" in errors:
        raise AssertionError(errors)
    return done.returncode, done.stdout.decode(errors="surrogateescape"), errors


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError(f"{part!r} is not in {text!r:.2000}")
