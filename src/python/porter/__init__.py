# SPDX-License-Identifier: MIT
"""Ask porterd for files and for what the kernel says of the caller.

    import porter

    with porter.open("nginx-key") as key, key.to_file("rb") as file:
        content = file.read()

    with porter.connect() as connection:
        for file in connection.list():
            print(file.name, file.access)

A file has a name in the policy of porterd and comes as a Descriptor, which belongs to the caller. The
functions of this module connect for one call; a Connection is for several.

What the service answers with is a porter.Error, one class for each of its errors. When it cannot be reached
or breaks off, that is a porter.ConnectionError, which is an OSError with its errno.

Calls block until the service has answered. A connection may be used by one thread at a time, different
connections by different threads at once.
"""

from typing import Any, Dict, Iterable, List, Optional

from ._connection import Connection, connect
from ._descriptor import Descriptor, Descriptors
from ._errors import (Busy, ConnectionError, Error, ExpectedMore, ExpectedUpgrade, FileMissing,
                      InterfaceNotFound, InvalidParameter, MethodNotFound, MethodNotImplemented,
                      NotPermitted, OpenerUnavailable, PermissionDenied, ProtocolError, TooManyFiles,
                      UnknownFile, UnsafeMode, WrongType)
from ._message import MESSAGE_MAX
from ._reply import Credentials, CredentialsVerdict, File, FileVerdict, Reply
from ._wire import FILES_MAX, SOCKET, Path

# Without the functions whose names `import *` would take from Python's own.
__all__ = [
    "Busy", "Connection", "ConnectionError", "Credentials", "CredentialsVerdict", "Descriptor",
    "Descriptors", "Error", "ExpectedMore", "ExpectedUpgrade", "FILES_MAX", "File", "FileMissing",
    "FileVerdict", "InterfaceNotFound", "InvalidParameter", "MESSAGE_MAX", "MethodNotFound",
    "MethodNotImplemented", "NotPermitted", "OpenerUnavailable", "PermissionDenied", "ProtocolError",
    "Reply", "SOCKET", "TooManyFiles", "UnknownFile", "UnsafeMode", "WrongType", "call", "check",
    "check_credentials", "connect", "open_many", "whoami",
]


def open(file: str, path: Optional[Path] = None) -> Descriptor:
    """Connection.open() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.open(file)


def open_many(files: Iterable[str], path: Optional[Path] = None) -> Descriptors:
    """Connection.open_many() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.open_many(files)


def check(file: str, path: Optional[Path] = None) -> FileVerdict:
    """Connection.check() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.check(file)


def list(path: Optional[Path] = None) -> List[File]:
    """Connection.list() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.list()


def whoami(path: Optional[Path] = None) -> Credentials:
    """Connection.whoami() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.whoami()


def check_credentials(users: Optional[Iterable[str]] = None, groups: Optional[Iterable[str]] = None,
                      units: Optional[Iterable[str]] = None,
                      path: Optional[Path] = None) -> CredentialsVerdict:
    """Connection.check_credentials() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.check_credentials(users, groups, units)


def call(method: str, parameters: Optional[Dict[str, Any]] = None, path: Optional[Path] = None) -> Reply:
    """Connection.call() on a connection of its own, to `path`."""
    with connect(path) as connection:
        return connection.call(method, parameters)
