# SPDX-License-Identifier: MIT
"""Descriptors that somebody owns: what is not handed on is closed."""

import os
import warnings
from types import TracebackType
from typing import IO, Any, Optional, Tuple, Type


class Descriptor:
    """An open file descriptor that belongs to this object: its end, or that of its `with`, closes it.

    It is close-on-exec. `name` is the file's name in the policy, empty where nothing says it.
    """

    name: str
    _fd: int = -1

    def __init__(self, fd: int, name: str = "") -> None:
        """Takes over `fd`."""
        self.name = name
        self._fd = fd

    def fileno(self) -> int:
        """The number of the descriptor, which still belongs to this object."""
        if self._fd < 0:
            raise ValueError("the descriptor is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether it was closed or handed on."""
        return self._fd < 0

    def detach(self) -> int:
        """Hands the descriptor on: the number now belongs to the caller. A connected socket becomes a
        Python one by socket.socket(fileno=descriptor.detach())."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def to_file(self, mode: str = "r", buffering: int = -1, encoding: Optional[str] = None,
                errors: Optional[str] = None, newline: Optional[str] = None) -> IO[Any]:
        """Hands the descriptor on to a Python file object, with the arguments of open(). `mode` has to fit
        the access that the policy gives; nothing is truncated or created. The descriptor never leaks: when
        this fails it is either closed or still here."""
        # The opener runs once `mode` is found right; from then on open() closes what it got from it.
        return open(self.name or f"<fd {self.fileno()}>", mode, buffering, encoding, errors, newline,
                    opener=lambda _path, _flags: self.detach())

    def close(self) -> None:
        """Closes the descriptor; again is allowed."""
        if self._fd >= 0:
            os.close(self.detach())

    def __enter__(self) -> "Descriptor":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if self._fd >= 0:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
            self.close()

    def __repr__(self) -> str:
        return f"<porter.Descriptor {self.name!r} {'closed' if self.closed else self._fd}>"


class Descriptors(Tuple[Descriptor, ...]):
    """Several descriptors, which the end of `with` closes together."""

    __slots__ = ()

    def close(self) -> None:
        """Closes all of them; those that were handed on stay as they are."""
        for descriptor in self:
            descriptor.close()

    def __enter__(self) -> "Descriptors":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()
