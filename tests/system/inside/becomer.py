"""Asks porterd for a file as one that somebody is just then, and writes to it by the descriptor as whom they can be.

    becomer.py group NAME UID GROUP   asks in a user namespace where it left the group, writes as a member of it
    becomer.py range NAME UID FIRST   asks as the user, writes as root of a user namespace that maps FIRST and what follows
    becomer.py reopen NAME PATH       asks, and writes itself; by the path, too

The first two are run by root. Prints an object: what porterd answered (the error, or null), and whether it wrote.
"""

import ctypes
import json
import os
import socket
import struct
import sys

import client

TEXT = b"written by the wrong one\n"
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION_3 = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def drop_capabilities():
    must(libc.capset(struct.pack("Ii", CAPABILITY_VERSION_3, 0), bytes(24)))


def ask(name):
    """The error, and the descriptor."""
    with client.Varlink() as varlink:
        try:
            with varlink.open(name) as file:
                return None, os.dup(file.fileno())
        except client.VarlinkError as error:
            return error.name, None


def write(path):
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except OSError as error:
        return error.strerror
    os.write(fd, TEXT)
    return True


def become(uid, groups):
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


class Child:
    """A process of the user's that gets and gives messages."""

    def __init__(self, function, *arguments):
        self.end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.end.close()
            function(other, *arguments)
            os._exit(0)
        other.close()

    def map(self, uids, gids):
        """As newuidmap and newgidmap do it, when it has said that it is in its namespace."""
        self.end.recv(1)
        for name, lines in (("uid_map", uids), ("gid_map", gids)):
            with open(f"/proc/{self.pid}/{name}", "w", encoding="ascii") as file:
                file.write(lines)
        self.end.send(b"x")


def enter_namespace(end):
    must(libc.unshare(CLONE_NEWUSER))
    end.send(b"x")
    end.recv(1)


def asker(end, name, uid, groups, in_namespace):
    become(uid, groups)
    if in_namespace:
        enter_namespace(end)
        os.setgroups([])
        drop_capabilities()
    error, fd = ask(name)
    socket.send_fds(end, [json.dumps(error).encode()], [fd] if fd is not None else [])


def writer(end, uid, groups, in_namespace):
    become(uid, groups)
    if in_namespace:
        enter_namespace(end)
    fd = socket.recv_fds(end, 1, 1)[1][0]
    end.send(json.dumps(write(f"/proc/self/fd/{fd}")).encode())


def run(name, uid, groups, asks_in=None, writes_in=None):
    asking = Child(asker, name, uid, groups, asks_in)
    if asks_in:
        asking.map(*asks_in)
    said, fds, _, _ = socket.recv_fds(asking.end, 1000, 1)
    answer = {"error": json.loads(said), "wrote": False}
    if fds:
        writing = Child(writer, uid, groups, writes_in)
        if writes_in:
            writing.map(*writes_in)
        socket.send_fds(writing.end, [b"x"], fds)
        answer["wrote"] = json.loads(writing.end.recv(1000))
    return answer


def main(kind, name, *arguments):
    if kind == "reopen":
        by_path = write(arguments[0])
        error, fd = ask(name)
        return {"path": by_path, "error": error, "wrote": fd is not None and write(f"/proc/self/fd/{fd}")}
    uid, number = map(int, arguments)
    if kind == "group":
        return run(name, uid, [number], asks_in=(f"0 {uid} 1", f"0 {uid} 1\n1 {number} 1"))
    both = f"0 {uid} 1\n1 {number} 1000"
    return run(name, uid, [], writes_in=(both, both))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
