# SPDX-License-Identifier: MIT
"""What may become of a fault, and why. To be served as without it is never wrong, and what no rule allows is.

A rule is: which steps, which calls, which errnos (None: any), the outcomes (faults.py), and the reason. The first rule that
fits a fault is the one that counts: its outcomes are all that there may be. They hold for every libc and kernel: a call
more or less of a kind, from whichever library, is the same kind."""

import errno as E

# Too little of something just now.
SHORT = {E.ENOMEM, E.EMFILE, E.ENFILE, E.ENOBUFS}
# There is nothing at a path, or what is there can't be what is meant.
ABSENT = {E.ENOENT, E.ENOTDIR}

# porterd: steps in which a client speaks to it alone, and in which the opener is asked for the client.
STREAMS = {"echo stream", "echo seqpacket", "get stream", "get seqpacket"}
DATAGRAMS = {"echo datagram", "get datagram"}
ASKS = {"check", "list", "open", "open long", "open many", "refuse"}
CONNECTIONS = STREAMS | ASKS

UNAVAILABLE, BUSY = "told OpenerUnavailable", "told Busy"
# As if there were no porterd.conf: with a word about it, or without one where a file need not be there.
UNCONFIGURED, UNSAID = "served unconfigured", "served unconfigured unsaid"

PORTERD = (
    ("start", {"read"}, None, {UNCONFIGURED, UNSAID},
     "what can't be read of porterd.conf is told, and is as if it were not there; the library takes an error of reading for "
     "the end of the file"),
    ("start", {"openat", "newfstatat", "getdents64"}, ABSENT, {UNCONFIGURED, UNSAID, "exit 78"},
     "a file or directory of settings need not be there; and a handed over descriptor that can't be looked at is no socket"),
    ("start", {"openat", "getdents64", "memfd_create", "write"}, None, {UNCONFIGURED},
     "a file of settings that can't be read is told"),
    ("start", {"fstat", "newfstatat"}, None, {UNCONFIGURED, "exit 78"},
     "as above; and a handed over descriptor that can't be looked at is no socket"),
    ("start", {"getsockname", "getsockopt"}, None, {"exit 78"},
     "what is not known to be a socket of the right kind is not served"),
    ("start", {"fcntl"}, None, {"exit 1", "exit 78", UNCONFIGURED},
     "a socket that blocks would stop everything; variables that name what is not open are wrong; and a directory of "
     "settings that can't be listed is told"),
    ("start", {"malloc"}, None, {"exit 1", UNCONFIGURED}, "a program that can't be set up says so and ends"),
    ("start", {"mmap", "epoll_create1", "epoll_ctl", "signalfd4", "timerfd_create"}, None, {"exit 1"},
     "a program that can't be set up says so and ends"),

    (DATAGRAMS, {"malloc", "sendmsg"}, None, {"dropped"}, "nobody is promised an answer to a datagram"),
    (CONNECTIONS, {"epoll_ctl"}, {E.ENOSPC}, {"closed", UNAVAILABLE},
     "who can't be watched is not kept; nor is the way to the opener"),
    (CONNECTIONS, {"epoll_ctl"}, {E.ENOMEM}, {"closed", BUSY, UNAVAILABLE}, "the same, and it is worth another try"),
    ({"list"}, {"malloc"}, None, {"closed", UNAVAILABLE}, "a page of the list that finds no room is none"),
    (CONNECTIONS, {"malloc"}, None, {"closed"}, "without memory for its message or reply a connection ends"),
    (CONNECTIONS, {"recvfrom"}, {E.ECONNRESET}, {"closed"}, "it has ended"),
    (STREAMS, {"recvmsg"}, {E.ECONNRESET}, {"closed"}, "it has ended"),
    ({"get stream", "get seqpacket"}, {"getsockopt"}, None, {"closed"},
     "what the kernel does not tell of a client is not made up"),
    (STREAMS | ASKS, {"sendto"}, {E.ECONNRESET, E.EPIPE, E.EMSGSIZE, E.ENOBUFS, E.ENOMEM, E.ENOENT, E.ECONNREFUSED},
     {"closed"}, "half a reply can't be taken back"),

    (ASKS, {"connect", "socket"}, {E.EAGAIN, E.ENOMEM}, {BUSY}, "it is worth another try"),
    (ASKS, {"connect", "socket"}, None, {UNAVAILABLE}, "the opener can't be reached"),
    (ASKS, {"recvmsg"}, {E.ECONNRESET, E.ENOBUFS, E.ENOMEM}, {UNAVAILABLE}, "its answer can't be had"),
    (ASKS, {"sendmsg"}, {E.ETOOMANYREFS}, {BUSY}, "there is no room for descriptors: of the client's socket, or the file"),
    (ASKS, {"sendmsg"}, {E.ENOMEM}, {BUSY, "closed"}, "the same for memory; but half a reply can't be taken back"),
    (ASKS, {"sendmsg"}, {E.ECONNRESET, E.EPIPE, E.EMSGSIZE, E.ENOBUFS, E.ENOENT, E.ECONNREFUSED}, {UNAVAILABLE, "closed"},
     "the opener, or the client, can't be sent anything"),
)

# The opener: what is asked for by name, and all questions of its peer.
FILES = {"check", "copy", "create", "device", "missing", "open", "open many", "socket", "within"}
QUESTIONS = FILES | {"list", "refuse"}
COPIES = {"copy", "open many"}
# A reload that fails leaves the policy before in force; a start that finds no policy serves without.
KEPT, EMPTY = "kept", "served without files"
REFUSED, MISSING, BAD = "told NotPermitted", "told FileMissing", "told BadRequest"

OPENER = (
    ("reload", {"openat", "readlink"}, None, {KEPT, EMPTY},
     "the policy before stays in force, unless its directory is just not there"),
    ("reload", {"fstat", "lseek", "malloc", "memfd_create", "newfstatat", "openat2", "read", "write"}, None, {KEPT},
     "the policy before stays in force"),

    ("start", {"fcntl", "malloc"}, None, {"exit 1", "exit 64", "exit 78"},
     "a program that can't be set up says so and ends; and descriptors that can't be taken are none, or wrong"),
    ("start", {"epoll_ctl"}, None, {"exit 1", "exit 78"}, "the same, also of a socket that can't be watched"),
    ("start", {"getsockname", "getsockopt"}, None, {"exit 78"},
     "what is not known to be a socket of the right kind is not served"),
    ("start", {"epoll_create1", "memfd_create", "signalfd4", "timerfd_create", "mmap"}, None, {"exit 1"},
     "a program that can't be set up says so and ends"),
    ("start", {"fstat", "newfstatat", "openat", "openat2", "read", "readlink"}, {E.ENOMEM, E.EMFILE, E.ENFILE},
     {"exit 1", "exit 78"}, "a policy that could not be read for want of something is not an empty one"),
    ("start", {"fstat", "newfstatat", "readlink"}, None, {EMPTY, "exit 1", "exit 78"},
     "what is wrong with a policy's file grants nothing; without the directory there is no start, nor with a descriptor "
     "that can't be looked at"),
    ("start", {"openat", "openat2", "read", "write"}, None, {EMPTY, "exit 1"},
     "what can't be read of the policy is told, and grants nothing; nor is there a start without its directory"),

    (QUESTIONS, {"epoll_ctl", "malloc"}, None, {"closed", BUSY},
     "a peer that can't be watched, or finds no room, is let go; it comes again"),
    (QUESTIONS, {"recvmsg"}, {E.ECONNRESET}, {"closed"}, "it has ended"),
    (FILES - {"check", "missing"}, {"sendmsg"}, {E.ETOOMANYREFS}, {BUSY, "closed"},
     "too many descriptors are under way; the peer's own end when nothing can be said"),
    (QUESTIONS, {"sendmsg"}, {E.ECONNRESET, E.EPIPE, E.EMSGSIZE, E.ENOBUFS, E.ENOMEM, E.ENOENT, E.ECONNREFUSED,
                              E.ETOOMANYREFS}, {"closed"}, "an answer that can't be sent is no answer"),
    (QUESTIONS, {"getpeername", "getsockname"}, None, {BAD}, "a client's socket that can't be looked at is not believed"),
    ({"list"}, {"getsockopt"}, None, {"closed", BAD, BUSY, "told nothing"},
     "the same; nothing is listed for somebody who is not known; and a peer who is not known is let go"),
    ({"list"}, {"poll"}, None, {"told nothing"}, "nothing is listed for a process that may have ended"),
    (QUESTIONS, {"getsockopt"}, None, {"closed", BAD, BUSY, REFUSED},
     "a client's socket that can't be looked at is not believed, and a client who is not known gets nothing; a peer who is "
     "not known is let go"),
    (FILES, {"poll"}, None, {REFUSED}, "a process that may have ended gets nothing"),

    ({"socket"}, {"connect"}, {E.EAGAIN, E.ENOMEM}, {BUSY}, "it is worth another try"),
    ({"socket"}, {"connect"}, {E.ECONNREFUSED, E.ENOENT}, {MISSING}, "nobody listens"),
    ({"socket"}, {"socket"}, SHORT, {BUSY}, "it is worth another try"),
    ({"socket"}, {"connect", "socket"}, None, {REFUSED}, "it may not be connected"),
    (COPIES, {"inotify_add_watch"}, None, {BUSY}, "a copy that could not be counted is not made"),
    (COPIES, {"write"}, {E.EAGAIN}, {BUSY}, "it is worth another try"),
    (QUESTIONS, {"fstat", "newfstatat"}, {E.ENOMEM}, {BAD, BUSY}, "the client's socket, or a file, can't be looked at now"),
    (QUESTIONS, {"fstat", "newfstatat"}, None, {BAD, REFUSED, MISSING},
     "the client's socket, or a file, can't be looked at: what is not known to be right is not handed out"),
    (QUESTIONS, {"fcntl"}, None, {BUSY, REFUSED}, "it is not handed out with the wrong flags, nor without a descriptor to it"),
    (FILES, {"fchmod", "fchown", "fstatfs", "memfd_create", "openat", "openat2", "read", "readlink", "write"},
     SHORT | {E.EAGAIN}, {BUSY}, "it is worth another try"),
    (FILES, {"openat", "openat2"}, ABSENT | {E.ENXIO}, {MISSING, REFUSED}, "there is none, or nobody behind it"),
    (FILES, {"fchmod", "fchown", "fstatfs", "getxattr", "openat", "openat2", "read", "readlink", "write"}, None, {REFUSED},
     "what can't be examined, made or copied is not handed out"),
)

RULES = {"porterd": PORTERD, "opener": OPENER}


def allowed(program, step, call, error):
    """What may become of it besides being served, and why."""
    if step == "stop":
        return {"exit 0"}, "it is ending already"
    for steps, calls, errors, outcomes, why in RULES[program]:
        if (step == steps or step in steps and not isinstance(steps, str)) and call in calls and \
                (errors is None or error in errors):
            return outcomes, why
    return set(), "no rule allows anything else"
