"""A porterd that is somebody else's now: asks the opener in porterd's name, with sockets that porterd should not pass.

    forger.py NAME KIND...     asks once with each KIND of socket for the file NAME
    forger.py --wait FILE ...  waits for that file to be there before
    forger.py --lender UID ... has that user lend what some kinds need
    forger.py --forge 1 ...    makes sockets by porterd's name in a mount namespace, as some kinds need

Prints a line of JSON for each: the kind, the opener's result and text, how many descriptors came and whose pid it is
that the kernel names. Started as root, it becomes user porterd before it connects to the opener."""

import array
import ctypes
import json
import os
import pwd
import socket
import struct
import sys
import time

OPENER = "/run/porterd-opener/opener"
VARLINK = "/run/porterd/io.porterd"
CLONE_NEWNS = 0x20000
REQUEST, REPLY = struct.Struct("=IIQII"), struct.Struct("=IIQIIIIII")


def none():
    return None


def pair():
    """Made by whoever this is by now."""
    return socket.socketpair()[0]


def connecting():
    """The wrong end: the kernel names who listens, PID 1."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(VARLINK)
    return client


def connecting_bound():
    """The same with an address, as the accepted end has one: the kernel's choice for who wants credentials passed."""
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client.connect(VARLINK)
    return client


def autobound():
    """A chain of such: what it connects to listens at a name of the kernel's choice, which clients can have."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client.connect(server.getsockname())
    own.append(server.accept()[0])
    return client


def listener():
    """A client of its own, at a socket of its own."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(server.getsockname())
    own.append(client)
    return server.accept()[0]


def packets():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0]


def inherited():
    """The connection that systemd accepted."""
    return socket.socket(fileno=os.dup(3))


def lent():
    """A pair that somebody else made, before this became porterd."""
    return lent_pairs[0]


def lent_bound():
    """The same, and bound to porterd's address in another file system."""
    return lent_pairs[1]


def to_autobound_listener():
    """Its own socket by porterd's name, at what somebody else listens on."""
    return forged["to-autobound-listener"]


def to_listener_of_such_a_name():
    """The same, where a program has chosen the name."""
    return forged["to-listener-of-such-a-name"]


def bound_pair():
    """Both ends have a name."""
    return forged["bound-pair"]


def accepted_elsewhere():
    """Somebody else was made to connect to its own socket by porterd's name."""
    return forged["accepted-elsewhere"]


def accepted_elsewhere_with_name():
    """With SO_PASSCRED."""
    return forged["accepted-elsewhere-with-name"]


own = []
lent_pairs = []
forged = {}
KINDS = {function.__name__.replace("_", "-"): function
         for function in (none, pair, connecting, connecting_bound, autobound, listener, packets, inherited, lent, lent_bound,
                          to_autobound_listener, to_listener_of_such_a_name, bound_pair, accepted_elsewhere,
                          accepted_elsewhere_with_name)}


def as_porterd(function, *arguments):
    os.seteuid(pwd.getpwnam("porterd").pw_uid)
    try:
        return function(*arguments)
    finally:
        os.seteuid(0)


def bind_by_the_name(one):
    """In a file system of this process's own; the file's path is free again then."""
    one.bind(VARLINK)
    os.rename(VARLINK, VARLINK + ".moved")
    return one


def forge():
    """As any user in a user namespace of theirs could with a socket of porterd's: somebody else, root, listens and
    connects."""
    see_no_others()
    for kind, name in (("to-autobound-listener", ""), ("to-listener-of-such-a-name", b"\0abcde")):
        theirs = socket.socket(socket.AF_UNIX)
        theirs.bind(name)
        theirs.listen()
        own.append(theirs)
        forged[kind] = as_porterd(lambda: bind_by_the_name(socket.socket(socket.AF_UNIX)))
        forged[kind].connect(theirs.getsockname())
    ours, theirs = socket.socketpair()
    theirs.bind("")
    own.append(theirs)
    forged["bound-pair"] = as_porterd(bind_by_the_name, ours)
    for kind, option in (("accepted-elsewhere", 0), ("accepted-elsewhere-with-name", 1)):
        waiting = as_porterd(lambda: bind_by_the_name(socket.socket(socket.AF_UNIX)))
        waiting.listen()
        theirs = socket.socket(socket.AF_UNIX)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, option)
        theirs.connect(VARLINK + ".moved")
        own.append(theirs)
        forged[kind] = as_porterd(lambda one=waiting: one.accept()[0])


def see_no_others():
    """What follows in /run/porterd is not seen by others."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/", None, 0x44000, None) or libc.mount(b"tmpfs", b"/run/porterd", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
    os.chmod("/run/porterd", 0o777)


def lend(uid):
    """As that user would who is not root."""
    see_no_others()
    os.seteuid(uid)
    lent_pairs.append(socket.socketpair()[0])
    ours, theirs = socket.socketpair()
    own.append(theirs)
    ours.bind(VARLINK)
    lent_pairs.append(ours)
    os.seteuid(0)


def ask(name, one):
    opener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    opener.settimeout(20)
    opener.connect(OPENER)
    packet = REQUEST.pack(1, 1, 7, 1, 0) + name.encode().ljust(64, b"\0")
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()]))] if one else []
    opener.sendmsg([packet], control)
    data, passed, _, _ = opener.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
    result = REPLY.unpack(data[:REPLY.size])[3]
    return {"result": result, "text": data[REPLY.size:].decode(),
            "fds": sum(len(content) // 4 for _, _, content in passed)}


def main(arguments):
    while arguments[0].startswith("--"):
        option, value, *arguments = arguments
        if option == "--wait":
            while not os.path.exists(value):
                time.sleep(0.05)
        elif option == "--lender":
            lend(int(value))
        elif option == "--forge":
            forge()
    name, *kinds = arguments
    if os.getuid() == 0:
        porterd = pwd.getpwnam("porterd")
        os.setgroups([])
        os.setresgid(porterd.pw_gid, porterd.pw_gid, porterd.pw_gid)
        os.setresuid(porterd.pw_uid, porterd.pw_uid, porterd.pw_uid)
    for kind in kinds:
        one = KINDS[kind]()
        peer = struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)) if one else [None] * 3
        print(json.dumps({"forger": kind, "pid": peer[0], "uid": peer[1], **ask(name, one)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
