# SPDX-License-Identifier: MIT
"""What goes wrong: a class for each error of the service, and those of the connection."""

import builtins
from typing import Any, Dict, Optional, Type


class Error(Exception):
    """The service answered with an error. One that has no class of its own is this one."""

    name: str  # in full, for example "io.porterd.Files.NotPermitted"
    parameters: Dict[str, Any]

    def __init__(self, name: str, parameters: Dict[str, Any]) -> None:
        super().__init__(name, parameters)
        self.name = name
        self.parameters = parameters

    @property
    def reason(self) -> Optional[str]:
        """Why, in words; None where the error has no such parameter."""
        return self._text("reason")

    @property
    def file(self) -> Optional[str]:
        """Which file of several it is about; None where the error has no such parameter."""
        return self._text("file")

    def _text(self, key: str) -> Optional[str]:
        value = self.parameters.get(key)
        return value if isinstance(value, str) else None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.reason, self.name) if part)


class UnknownFile(Error):
    """The policy has no file of that name."""


class NotPermitted(Error):
    """The policy does not give that file to the caller."""


class FileMissing(Error):
    """The policy has the file, but it does not exist."""


class WrongType(Error):
    """What the path leads to is not what the policy says: a directory, a symbolic link, a device."""


class UnsafeMode(Error):
    """The file's mode would let the caller reopen it with more access than was given."""


class TooManyFiles(Error):
    """More files than one call opens; the parameter `limit` says how many that are."""


class OpenerUnavailable(Error):
    """The process that opens files does not answer."""


class Busy(Error):
    """The service has too much to do; the same call may succeed later."""


class InterfaceNotFound(Error):
    """The service has no such interface."""


class MethodNotFound(Error):
    """The interface has no such method."""


class MethodNotImplemented(Error):
    """The interface has the method, but the service does not offer it in the way it was called."""


class InvalidParameter(Error):
    """A parameter is missing, unknown, of another type or out of range; `parameter` names it."""


class PermissionDenied(Error):
    """The caller may not call that method."""


class ExpectedMore(Error):
    """The method answers more than once, which Connection.call() cannot take."""


class ExpectedUpgrade(Error):
    """The method turns the connection into another one, which Connection.call() cannot do."""


_CLASSES: Dict[str, Type[Error]] = {
    f"{interface}.{kind.__name__}": kind
    for interface, kinds in (
        ("io.porterd.Files", (UnknownFile, NotPermitted, FileMissing, WrongType, UnsafeMode, TooManyFiles,
                              OpenerUnavailable, Busy)),
        ("org.varlink.service", (InterfaceNotFound, MethodNotFound, MethodNotImplemented, InvalidParameter,
                                 PermissionDenied, ExpectedMore, ExpectedUpgrade)))
    for kind in kinds
}


def error_of_service(name: str, parameters: Dict[str, Any]) -> Error:
    """The exception for an error of this name."""
    return _CLASSES.get(name, Error)(name, parameters)


class ConnectionError(builtins.ConnectionError):
    """The service cannot be reached, or the connection broke. `errno` says how:

    ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE, ENAMETOOLONG: connect() failed, `filename` is the socket.
    ECONNRESET: the service closed the connection before it had answered.
    ENOTCONN: the connection was closed, or broken by an earlier call.
    """


class ProtocolError(ConnectionError):
    """The answer is not what the service's interface promises, or this process could not hold all of its
    descriptors (RLIMIT_NOFILE): EBADMSG. Or it is longer than MESSAGE_MAX: EMSGSIZE. The connection is
    closed, and so is every descriptor that came."""
