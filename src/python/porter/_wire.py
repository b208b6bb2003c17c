# SPDX-License-Identifier: MIT
"""One Varlink message at a time over a blocking stream socket: bytes up to a NUL, and the descriptors that
travel with the first of them."""

import array
import errno
import os
import socket
from typing import List, Union

from ._errors import ConnectionError, ProtocolError
from ._message import MESSAGE_MAX, malformed

# Where porterd listens, unless the system's administrator moved it.
SOCKET = "/run/porterd/io.porterd"

# The most files that one call opens: as many descriptors as the kernel passes with one message.
FILES_MAX = 253

Path = Union[str, "os.PathLike[str]"]

_FD_SIZE = array.array("i").itemsize
_CONTROL_SIZE = socket.CMSG_SPACE(FILES_MAX * _FD_SIZE)
_PIECE = 64 * 1024


def close_all(fds: List[int]) -> None:
    """Closes what is left in the list: those that were taken out of it are negative."""
    while fds:
        fd = fds.pop()
        if fd >= 0:
            os.close(fd)


def _address(path: Path) -> bytes:
    name = os.fsencode(path)
    # An empty name asks for an autobound address, and a NUL in front is the kernel's way to say `@`.
    if name in (b"", b"@") or b"\0" in name:
        raise ValueError(f"{path!r} is no address of a socket")
    return b"\0" + name[1:] if name.startswith(b"@") else name


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return False
    return True


def wire_connect(path: Path) -> socket.socket:
    """Connects to the stream socket at `path`; a leading `@` names an abstract one."""
    address = _address(path)
    # sun_path has 108 bytes, the last of them a NUL where the name is a path.
    if len(address) > (108 if address.startswith(b"\0") else 107):
        raise ConnectionError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fspath(path))
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Whatever socket.setdefaulttimeout() said: half an answer is of no use.
            sock.settimeout(None)
            # While the listener's queue is full, connect() waits. After a signal Python takes such a wait
            # for a connection in progress, as TCP has it, and a socket that is none for connected.
            sock.connect(address)
            while not _is_connected(sock):
                sock.connect(address)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise ConnectionError(error.errno, error.strerror, os.fspath(path)) from error
    return sock


def wire_send(sock: socket.socket, message: bytes) -> None:
    """Sends the message and waits until the kernel has taken all of it."""
    try:
        sock.sendall(message, socket.MSG_NOSIGNAL)
    except OSError as error:
        raise _failure(error) from error


def _failure(error: OSError) -> ConnectionError:
    number = errno.ECONNRESET if error.errno is None or error.errno == errno.EPIPE else error.errno
    return ConnectionError(number, os.strerror(number))


def _receive_some(sock: socket.socket, size: int, fds: List[int]) -> bytes:
    """The next bytes; the descriptors that came with them are added to the list. Empty: the end."""
    try:
        data, control, flags, _ = sock.recvmsg(size, _CONTROL_SIZE, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise _failure(error) from error

    strange = False
    for level, kind, content in control:
        if level != socket.SOL_SOCKET or kind != socket.SCM_RIGHTS:
            strange = True
            continue
        arrived = array.array("i")
        arrived.frombytes(content[:len(content) - len(content) % _FD_SIZE])
        fds.extend(arrived)

    # Some had no room, here or in this process: which ones are missing cannot be told.
    if flags & socket.MSG_CTRUNC:
        raise malformed("not all of its descriptors could be taken")
    if strange:
        raise malformed("control data that nobody asked for")
    return data


def wire_receive(sock: socket.socket, fds: List[int]) -> bytes:
    """Receives one message of at most MESSAGE_MAX bytes without its NUL; its descriptors go into the empty
    list `fds`, also when this fails. Then the stream is out of step and has to be closed."""
    buffer = bytearray()
    while True:
        room = MESSAGE_MAX + 1 - len(buffer)  # the NUL
        if room == 0:
            raise ProtocolError(errno.EMSGSIZE, f"the reply is longer than {MESSAGE_MAX} bytes")

        before = len(fds)
        data = _receive_some(sock, min(room, _PIECE), fds)
        if not data:
            raise ConnectionError(errno.ECONNRESET, "the service closed the connection without an answer")
        if buffer and len(fds) > before:
            raise malformed("descriptors in the middle of a message")

        end = data.find(b"\0")
        buffer += data
        if end < 0:
            continue
        # One call is answered by one reply, so nothing may follow it yet.
        if end != len(data) - 1:
            raise malformed("something follows the reply")
        del buffer[-1]
        return bytes(buffer)
