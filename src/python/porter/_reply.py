# SPDX-License-Identifier: MIT
"""What the service's methods answer, each piece checked before it is believed. Keys that nobody knows are
left alone, so that a newer service may say more."""

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ._descriptor import Descriptor, Descriptors
from ._message import malformed

_ID_MAX = 2**32 - 1
_PID_MAX = 2**31 - 1


@dataclass(frozen=True)
class File:
    """A file that the caller may open."""

    name: str
    description: Optional[str]
    access: str  # "read", "write", "read-write" or "append"


@dataclass(frozen=True)
class Credentials:
    """What the kernel told the service of the process that connected."""

    uid: int
    gid: int
    pid: int  # in the PID namespace of the service; 0: not visible there
    groups: Optional[Tuple[int, ...]]  # supplementary groups; None: the kernel attests none
    unit: Optional[str]  # None: not in a unit, or not known
    invocation_id: Optional[str]  # of the unit; None as above
    security_label: Optional[str]


class FileVerdict(NamedTuple):
    """Whether a file would be opened, and why or why not. It is true when `permitted` is."""

    permitted: bool
    reason: str

    def __bool__(self) -> bool:
        return self.permitted


class CredentialsVerdict(NamedTuple):
    """Whether the caller is one of those asked about, and the kinds ("users", "groups", "units") that did
    not match. It is true when `satisfied` is."""

    satisfied: bool
    failed: Tuple[str, ...]

    def __bool__(self) -> bool:
        return self.satisfied


class Reply(NamedTuple):
    """What any method answered, and the descriptors that came along in their order."""

    parameters: Dict[str, Any]
    descriptors: Descriptors


def _string(value: Any, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise malformed(f"{key} is no string")
    return found


def _optional_string(value: Dict[str, Any], key: str) -> Optional[str]:
    return None if value.get(key) is None else _string(value, key)


def _boolean(value: Dict[str, Any], key: str) -> bool:
    found = value.get(key)
    if not isinstance(found, bool):
        raise malformed(f"{key} is no boolean")
    return found


def _array(value: Dict[str, Any], key: str) -> List[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise malformed(f"{key} is no array")
    return found


def _integer(found: Any, key: str, largest: int) -> int:
    # True and False are ints to Python.
    if type(found) is not int or not 0 <= found <= largest:
        raise malformed(f"{key} is no integer up to {largest}")
    return found


def parse_file_verdict(reply: Dict[str, Any]) -> FileVerdict:
    """The answer of io.porterd.Files.Check."""
    return FileVerdict(_boolean(reply, "permitted"), _string(reply, "reason"))


def parse_files(reply: Dict[str, Any]) -> List[File]:
    """The answer of io.porterd.Files.List."""
    return [File(_string(file, "name"), _optional_string(file, "description"), _string(file, "access"))
            for file in _array(reply, "files")]


def parse_credentials(reply: Dict[str, Any]) -> Credentials:
    """The answer of io.porterd.Credentials.Get."""
    found = reply.get("credentials")
    if not isinstance(found, dict):
        raise malformed("credentials are no object")

    groups = None if found.get("groups") is None else _array(found, "groups")
    return Credentials(
        uid=_integer(found.get("uid"), "uid", _ID_MAX),
        gid=_integer(found.get("gid"), "gid", _ID_MAX),
        pid=_integer(found.get("pid"), "pid", _PID_MAX),
        groups=None if groups is None else tuple(_integer(group, "groups", _ID_MAX) for group in groups),
        unit=_optional_string(found, "unit"),
        invocation_id=_optional_string(found, "invocationId"),
        security_label=_optional_string(found, "securityLabel"))


def parse_credentials_verdict(reply: Dict[str, Any]) -> CredentialsVerdict:
    """The answer of io.porterd.Credentials.Check."""
    satisfied, failed = _boolean(reply, "satisfied"), _array(reply, "failed")
    if not all(isinstance(kind, str) for kind in failed):
        raise malformed("failed has something that is no string")
    return CredentialsVerdict(satisfied, tuple(failed))


def take_descriptors(fds: List[int], indexes: List[Any], names: List[str]) -> Descriptors:
    """The descriptors that `indexes` names, taken out of the list. Each must be named, and named once."""
    numbers = [index for index in indexes if type(index) is int]
    if not len(numbers) == len(indexes) == len(names) or sorted(numbers) != list(range(len(fds))):
        raise malformed("its descriptors are not the ones that it names")

    taken = []
    for index, name in zip(indexes, names):
        taken.append(Descriptor(fds[index], name))
        fds[index] = -1
    return Descriptors(taken)


def parse_opened(reply: Dict[str, Any], fds: List[int], names: List[str]) -> Descriptors:
    """The answer of io.porterd.Files.OpenMany."""
    return take_descriptors(fds, _array(reply, "descriptors"), names)
