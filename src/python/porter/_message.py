# SPDX-License-Identifier: MIT
"""Requests and replies as text. JSON as the service understands it: UTF-8, no key twice, no number that is
none, and no NUL in a string."""

import errno
import json
import math
import re
from typing import Any, Dict, List, Optional, Tuple

from ._errors import Error, ProtocolError, error_of_service

# The largest request and the largest reply, in bytes.
MESSAGE_MAX = 1024 * 1024

# What the service's integers hold.
_INTEGER_MIN, _INTEGER_MAX = -2**63, 2**63 - 1

# \u0000 with an even number of backslashes before it, so that the last one is not itself escaped.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def malformed(what: str) -> ProtocolError:
    """The error for an answer that is not what the interface promises."""
    return ProtocolError(errno.EBADMSG, f"the service does not keep to its interface: {what}")


def _encode(value: Any) -> bytes:
    # UnicodeEncodeError is a ValueError.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if _ESCAPED_NUL.search(text):
        raise ValueError("a string has a NUL in it")
    return text


def encode_request(method: str, parameters: Dict[str, Any]) -> bytes:
    """The request, with the NUL that ends it. ValueError: it cannot be said in JSON, or is too long."""
    if not isinstance(method, str) or not isinstance(parameters, dict):
        raise TypeError("a method is a string, and its parameters are a dictionary")
    if not method:
        raise ValueError("the method is empty")
    text = _encode({"method": method, "parameters": parameters})
    if len(text) > MESSAGE_MAX:
        raise ValueError(f"the request is longer than {MESSAGE_MAX} bytes")
    return text + b"\0"


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _integer(text: str) -> int:
    # The length first: to convert very many digits takes very long.
    if len(text) > len(str(_INTEGER_MIN)) or not _INTEGER_MIN <= int(text) <= _INTEGER_MAX:
        raise ValueError("an integer is too large")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _decode(text: bytes) -> Any:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_object, parse_int=_integer, parse_float=_real,
                           parse_constant=_constant)
        # Escapes are the one way in for NULs and for halves of surrogate pairs.
        if b"\\u" in text:
            _encode(value)
    except (ValueError, RecursionError) as error:
        raise malformed(str(error)) from error
    return value


def decode_reply(text: bytes) -> Tuple[Dict[str, Any], Optional[Error]]:
    """The reply's parameters, and the error if it is one."""
    reply = _decode(text)
    if not isinstance(reply, dict):
        raise malformed("the reply is no object")

    # Nobody asked for `more`, so a reply that announces another one is out of order.
    continues = reply.get("continues")
    if continues is not None and continues is not False:
        raise malformed("there is more to come")

    parameters = reply.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise malformed("the parameters are no object")

    name = reply.get("error")
    if name is None:
        return parameters, None
    if not isinstance(name, str) or not name:
        raise malformed("the error has no name")
    return parameters, error_of_service(name, parameters)
