# SPDX-License-Identifier: MIT
"""What the tests of the Python module share: the module, and a service that sends what it is told to."""

import contextlib
import faulthandler
import os
import sys

_ROOT = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(_ROOT, "tests", "porterctl"))
sys.path.insert(0, os.path.join(_ROOT, "src", "python"))

from fake import *  # noqa: E402 and so harness
from world import *  # noqa: E402

import porter  # noqa: E402

# Calls of the module wait for ever: a test that hangs says where, and fails.
faulthandler.dump_traceback_later(PATIENCE * 12, exit=True)


def open_fds():
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def no_leak():
    """The block leaves as many fds open as there were; the fake service's thread may take a moment."""
    before = open_fds()
    yield
    eventually(lambda: open_fds() == before, f"{before} fds again instead of {open_fds()}")


def receive_request(client):
    """The next request as bytes, without its NUL; None at the end."""
    data = b""
    while not data.endswith(b"\0"):
        piece = client.recv(65536)
        if not piece:
            return None
        data += piece
    return data[:-1]


def script(*steps, requests=None, stay=True):
    """A service that takes one request and then sends each step: data, or a pair of data and a number of fds.
    Then it waits for the client's end, unless it is not to stay."""
    def serve(client):
        request = receive_request(client)
        if requests is not None:
            requests.append(request)
        for step in steps:
            data, count = step if isinstance(step, tuple) else (step, 0)
            if not count:
                client.sendall(data)
                continue
            fd = make_file(b"content")
            send_fds(client, data, [fd] * count)
            os.close(fd)
        while stay and client.recv(65536):
            pass
    return Fake(serve=serve)


def raises(kind, function, *arguments, **named):
    """Calls the function, and returns what it raises: of exactly this kind."""
    try:
        value = function(*arguments, **named)
    except BaseException as error:  # a KeyboardInterrupt may be wanted
        if type(error) is not kind:
            raise
        return error
    raise AssertionError(f"no {kind.__name__} but {value!r:.300}")


def read(descriptor):
    with descriptor.to_file("rb") as file:
        return file.read()
