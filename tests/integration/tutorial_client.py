# SPDX-License-Identifier: MIT
"""The kind of client that a tutorial shows: sends its argument to an echo socket, prints what comes back."""
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
    s.connect(sys.argv[1])
    s.sendall(sys.argv[2].encode())
    s.shutdown(socket.SHUT_WR)
    while True:
        data = s.recv(1024)
        if not data:
            break
        sys.stdout.write(data.decode())
