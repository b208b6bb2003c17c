# SPDX-License-Identifier: MIT
"""A connection to the service, and the calls on it."""

import errno
import socket
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, List, Optional, Type, TypeVar

from . import _reply, _wire
from ._descriptor import Descriptor, Descriptors
from ._errors import ConnectionError
from ._message import decode_reply, encode_request, malformed

_T = TypeVar("_T")


def _name(file: str) -> str:
    if not isinstance(file, str):
        raise TypeError("the name of a file is a string")
    if not file:
        raise ValueError("the name of the file is empty")
    return file


def _names(kind: str, names: Iterable[str]) -> List[str]:
    # A string is a sequence of strings, too, and never meant so.
    if isinstance(names, (str, bytes)):
        raise TypeError(f"{kind} are several strings, not one")
    listed = list(names)
    if not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{kind} are strings")
    return listed


class Connection:
    """A connection to the service, made by connect(). The end of `with` closes it; opened files stay open.

    Every call may raise porter.Error for what the service answered, and porter.ConnectionError: after that
    the connection is closed. ValueError and TypeError are about the arguments, nothing was sent then.
    """

    _socket: Optional[socket.socket]

    def __init__(self, connected: socket.socket) -> None:
        """Takes over a connected stream socket."""
        self._socket = connected

    def open(self, file: str) -> Descriptor:
        """Opens the file that the policy calls `file`, with the access that the policy gives."""
        def parse(reply: Dict[str, Any], fds: List[int]) -> Descriptors:
            return _reply.take_descriptors(fds, [reply.get("descriptor")], [file])
        return self._ask("io.porterd.Files.Open", {"file": _name(file)}, parse)[0]

    def open_many(self, files: Iterable[str]) -> Descriptors:
        """Opens all of the files, or none. They come in the order of `files`, at most FILES_MAX."""
        names = [_name(file) for file in _names("files", files)]
        if not 0 < len(names) <= _wire.FILES_MAX:
            raise ValueError(f"{len(names)} files, of which one call opens 1 to {_wire.FILES_MAX}")

        def parse(reply: Dict[str, Any], fds: List[int]) -> Descriptors:
            return _reply.parse_opened(reply, fds, names)
        return self._ask("io.porterd.Files.OpenMany", {"files": names}, parse)

    def check(self, file: str) -> _reply.FileVerdict:
        """Asks whether open() would be permitted, without opening or recording anything."""
        return self._ask_plain("io.porterd.Files.Check", {"file": _name(file)}, _reply.parse_file_verdict)

    def list(self) -> List[_reply.File]:
        """The files that the caller may open."""
        return self._ask_plain("io.porterd.Files.List", {}, _reply.parse_files)

    def whoami(self) -> _reply.Credentials:
        """Who the caller is."""
        return self._ask_plain("io.porterd.Credentials.Get", {}, _reply.parse_credentials)

    def check_credentials(self, users: Optional[Iterable[str]] = None,
                          groups: Optional[Iterable[str]] = None,
                          units: Optional[Iterable[str]] = None) -> _reply.CredentialsVerdict:
        """Asks whether the caller is one of `users`, and in one of `groups`, and in one of `units`; None
        where it doesn't matter."""
        kinds = {"users": users, "groups": groups, "units": units}
        parameters = {kind: _names(kind, names) for kind, names in kinds.items() if names is not None}
        return self._ask_plain("io.porterd.Credentials.Check", parameters, _reply.parse_credentials_verdict)

    def call(self, method: str, parameters: Optional[Dict[str, Any]] = None) -> _reply.Reply:
        """Calls any method, for example "io.porterd.Files.List". Methods that answer more than once, or not
        at all, can't be called this way."""
        def parse(reply: Dict[str, Any], fds: List[int]) -> _reply.Reply:
            count = len(fds)
            return _reply.Reply(reply, _reply.take_descriptors(fds, list(range(count)), [""] * count))
        return self._ask(method, {} if parameters is None else parameters, parse)

    def close(self) -> None:
        """Closes the connection; again is allowed."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def _ask(self, method: str, parameters: Dict[str, Any],
             parse: Callable[[Dict[str, Any], List[int]], _T]) -> _T:
        """Calls the method. parse() makes its answer of the reply, and takes out of the list the
        descriptors that it hands on."""
        request = encode_request(method, parameters)
        if self._socket is None:
            raise ConnectionError(errno.ENOTCONN, "the connection is closed")

        fds: List[int] = []
        try:
            _wire.wire_send(self._socket, request)
            reply, error = decode_reply(_wire.wire_receive(self._socket, fds))
            if error is None:
                return parse(reply, fds)
            if fds:
                raise malformed("descriptors came with an error")
        except BaseException:
            # Also when a signal's handler raised something: the reply is still to come.
            self.close()
            raise
        finally:
            _wire.close_all(fds)
        raise error

    def _ask_plain(self, method: str, parameters: Dict[str, Any],
                   parse: Callable[[Dict[str, Any]], _T]) -> _T:
        """As _ask(), for methods that never bring descriptors."""
        def without(reply: Dict[str, Any], fds: List[int]) -> _T:
            if fds:
                raise malformed("descriptors came with an answer that has none")
            return parse(reply)
        return self._ask(method, parameters, without)


def connect(path: Optional[_wire.Path] = None) -> Connection:
    """Connects to the service's stream socket: at SOCKET unless `path` says where; a leading `@` names an
    abstract one. The connection's descriptor is close-on-exec."""
    return Connection(_wire.wire_connect(_wire.SOCKET if path is None else path))
