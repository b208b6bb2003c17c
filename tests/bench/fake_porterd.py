#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands for porterd in a benchmark: an echo whose fault is the name that it is called by."""

import os
import selectors
import socket
import sys

FAULT = os.path.basename(sys.argv[0])


def serve(data):
    """What comes back of these bytes; None: the connection ends."""
    if FAULT == "wrong-byte":
        return data[:-1] + bytes([data[-1] ^ 1])
    if FAULT == "stale":
        # Always the first message that came: right in its form, and late.
        serve.first = getattr(serve, "first", data)
        return serve.first[:len(data)]
    if FAULT == "swapped":
        return data[::-1]
    if FAULT == "leaves":
        return None
    return data


def main():
    if FAULT == "never-starts":
        sys.exit(78)
    listener = socket.socket(fileno=3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", "\0" + os.environ["NOTIFY_SOCKET"][1:])
    if listener.type == socket.SOCK_DGRAM:
        while True:
            data, sender = listener.recvfrom(65536)
            listener.sendto(serve(data), sender)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(65536)
            answer = serve(data) if data else None
            if answer is None:
                selector.unregister(key.fileobj)
                key.fileobj.close()
            else:
                key.fileobj.sendall(answer)


main()
