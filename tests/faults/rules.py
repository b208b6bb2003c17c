# SPDX-License-Identifier: MIT
"""What may become of a fault, and why.

A rule is: which steps, which calls, which errnos (None: any), the outcomes (faults.py), and the reason. The first rule
that fits a fault is the one that counts, and its outcomes are all that there may be; where none fits, everybody is
served. Rules without SERVED are for calls on which an answer depends: to be served all the same would mean that nobody
looked at the error. The rules hold for every libc and kernel: one call more or less, from whichever library, is of the
same kind."""

import errno as E

SERVED = "served"
# Too little of something just now.
SHORT = {E.ENOMEM, E.EMFILE, E.ENFILE, E.ENOBUFS, E.EAGAIN}
# There is nothing at a path, or what is there can't be what is meant.
ABSENT = {E.ENOENT, E.ENOTDIR}
# Nothing was sent, and another try would not help. After EAGAIN and EINTR there is one.
UNSENT = {E.ECONNRESET, E.EPIPE, E.EMSGSIZE, E.ENOBUFS, E.ENOMEM, E.ENOENT, E.ECONNREFUSED, E.ETOOMANYREFS}

# porterd: steps in which a client speaks to it alone, and in which the opener is asked for the client.
STREAMS = {"echo stream", "echo seqpacket", "get stream", "get seqpacket"}
DATAGRAMS = {"echo datagram", "get datagram"}
ASKS = {"check", "list", "open", "open long", "open many", "refuse"}
CONNECTIONS = STREAMS | ASKS

UNAVAILABLE, BUSY = "told OpenerUnavailable", "told Busy"
# As if there were no porterd.conf: with a word about it, or without one where a file need not be there.
UNCONFIGURED, UNSAID = "served unconfigured", "served unconfigured unsaid"

PORTERD = (
    ({"start"}, {"read"}, None, {SERVED, UNCONFIGURED, UNSAID},
     "what can't be read of porterd.conf is as if it were not there, and is told; but the library takes an error for "
     "the end of the file"),
    ({"start"}, {"openat", "getdents64"}, ABSENT, {SERVED, UNCONFIGURED, UNSAID},
     "a file or directory of settings need not be there"),
    ({"start"}, {"openat", "getdents64", "memfd_create", "write"}, None, {SERVED, UNCONFIGURED},
     "a file of settings that can't be read is told"),
    ({"start"}, {"newfstatat"}, ABSENT, {SERVED, UNCONFIGURED, UNSAID, "exit 78"},
     "settings need not be there; and a handed over descriptor that can't be looked at is no socket"),
    ({"start"}, {"fstat", "newfstatat", "statx"}, None, {SERVED, UNCONFIGURED, "exit 78"},
     "settings that can't be looked at are told; and a handed over descriptor that can't be looked at is no socket"),
    ({"start"}, {"getsockname"}, None, {"exit 78"}, "what is not known to be a socket at a path is not served"),
    ({"start"}, {"getsockopt"}, None, {SERVED, "exit 78"},
     "what is not known to be a socket of the right kind is not served; sizes of buffers stay as they are"),
    ({"start"}, {"fcntl"}, None, {"exit 1", "exit 78", UNCONFIGURED},
     "a socket that blocks would stop everything; variables that name what is not open are wrong; and a directory of "
     "settings that can't be listed is told"),
    ({"start"}, {"malloc"}, None, {SERVED, UNCONFIGURED, "exit 1"}, "a program that can't be set up says so and ends"),
    ({"start"}, {"mmap"}, None, {SERVED, "exit 1"},
     "a program that can't be set up ends; but the libraries have other ways to get memory"),
    ({"start"}, {"epoll_create1", "epoll_ctl", "signalfd4", "timerfd_create"}, None, {"exit 1"},
     "a program that can't be set up says so and ends"),

    (DATAGRAMS, {"sendmsg"}, UNSENT, {"dropped"}, "nobody is promised an answer to a datagram"),
    (DATAGRAMS, {"malloc"}, None, {SERVED, "dropped"}, "nobody is promised an answer to a datagram"),
    (STREAMS, {"epoll_ctl"}, None, {SERVED, "closed"}, "who can't be watched is not kept"),
    (ASKS, {"epoll_ctl"}, {E.ENOSPC}, {SERVED, "closed", UNAVAILABLE}, "who can't be watched is not kept, nor asked"),
    (ASKS, {"epoll_ctl"}, {E.ENOMEM}, {SERVED, "closed", BUSY},
     "who can't be watched is not kept; it is worth another try"),
    ({"list"}, {"malloc"}, None, {SERVED, "closed", UNAVAILABLE}, "a page of the list that finds no room is none"),
    (CONNECTIONS, {"malloc"}, None, {SERVED, "closed"}, "without memory for its message or reply a connection ends"),
    (CONNECTIONS, {"recvfrom"}, {E.ECONNRESET}, {SERVED, "closed"}, "it has ended, maybe after the answer"),
    (STREAMS, {"recvmsg"}, {E.ECONNRESET}, {SERVED, "closed"}, "it has ended, maybe after the answer"),
    ({"get stream", "get seqpacket"}, {"getsockopt"}, None, {SERVED, "closed"},
     "what the kernel does not tell of a client is not made up; but not all of it need be there"),
    ({"echo seqpacket"}, {"sendto"}, {E.EMSGSIZE}, {SERVED}, "the send buffer grows, and it is sent again"),
    (CONNECTIONS, {"sendto"}, UNSENT, {"closed"}, "half a reply can't be taken back"),

    (ASKS, {"connect", "socket"}, {E.EAGAIN, E.ENOMEM}, {BUSY}, "it is worth another try"),
    (ASKS, {"connect", "socket"}, None, {UNAVAILABLE}, "the opener can't be reached"),
    (ASKS, {"recvmsg"}, {E.ECONNRESET, E.ENOBUFS, E.ENOMEM}, {UNAVAILABLE}, "its answer can't be had"),
    (ASKS, {"sendmsg"}, {E.ETOOMANYREFS}, {BUSY}, "there is no room for descriptors on their way"),
    (ASKS, {"sendmsg"}, {E.ENOMEM}, {BUSY, "closed"}, "it is worth another try; but half a reply can't be taken back"),
    (ASKS, {"sendmsg"}, UNSENT, {UNAVAILABLE, "closed"}, "the opener, or the client, can't be sent anything"),
)

# The opener: what is asked for by name, and all questions of its peer.
FILES = {"check", "copy", "create", "device", "missing", "open", "open many", "socket", "within"}
QUESTIONS = FILES | {"list", "refuse"}
# These get descriptors.
OPENED = FILES - {"check", "missing"}
# A reload that fails leaves the policy before in force; a start that finds no policy serves without.
KEPT, EMPTY = "kept", "served without files"
REFUSED, MISSING, BAD = "told NotPermitted", "told FileMissing", "told BadRequest"

OPENER = (
    (QUESTIONS | {"start", "reload"}, {"openat2"}, {E.EAGAIN, E.EINTR}, {SERVED},
     "the kernel asks for another try when something on the way was renamed meanwhile"),

    ({"reload"}, {"openat"}, {E.ENOENT}, {SERVED, KEPT, EMPTY},
     "the policy before stays in force, unless its directory is just not there"),
    ({"reload"}, {"readlink"}, {E.ENOENT}, {KEPT, EMPTY}, "a policy whose directory is just not there is empty"),
    ({"reload"}, {"memfd_create", "openat2", "readlink"}, None, {KEPT}, "the policy before stays in force"),
    ({"reload"}, {"fstat", "lseek", "malloc", "newfstatat", "openat", "read", "write"}, None, {SERVED, KEPT},
     "the policy before stays in force"),

    ({"start"}, {"fcntl"}, None, {"exit 64", "exit 78"}, "descriptors that can't be taken are none, or wrong"),
    ({"start"}, {"malloc"}, None, {SERVED, "exit 1", "exit 64", "exit 78"},
     "a program that can't be set up says so and ends; and descriptors that can't be taken are none, or wrong"),
    ({"start"}, {"epoll_ctl"}, None, {"exit 1", "exit 78"},
     "a program that can't be set up, or can't watch its socket, says so and ends"),
    ({"start"}, {"getsockname"}, None, {"exit 78"}, "what is not known to be a socket at a path is not served"),
    ({"start"}, {"getsockopt"}, None, {SERVED, "exit 78"},
     "what is not known to be a socket of the right kind is not served; sizes of buffers stay as they are"),
    ({"start"}, {"epoll_create1", "memfd_create", "signalfd4", "timerfd_create"}, None, {"exit 1"},
     "a program that can't be set up says so and ends"),
    ({"start"}, {"openat2"}, SHORT, {"exit 1"},
     "a policy that could not be read for want of something is not an empty one"),
    ({"start"}, {"openat", "read"}, SHORT - {E.EAGAIN}, {SERVED, "exit 1"},
     "a policy that could not be read for want of something is not an empty one"),
    ({"start"}, {"readlink"}, SHORT, {"exit 1", "exit 78"}, "without its policy's directory there is no start"),
    ({"start"}, {"fstat", "newfstatat"}, SHORT, {SERVED, "exit 1", "exit 78"},
     "a policy that could not be read for want of something is not an empty one; and a handed over descriptor that "
     "can't be looked at is no socket"),
    ({"start"}, {"openat2"}, None, {EMPTY}, "what can't be read of the policy is told, and grants nothing"),
    ({"start"}, {"openat", "read", "write"}, None, {SERVED, EMPTY},
     "what can't be read of the policy is told, and grants nothing"),
    ({"start"}, {"readlink"}, None, {EMPTY, "exit 78"},
     "what can't be read of the policy is told, and grants nothing; without its directory there is no start"),
    ({"start"}, {"fstat", "newfstatat"}, None, {SERVED, EMPTY, "exit 78"},
     "what can't be read of the policy grants nothing; and a handed over descriptor that can't be looked at "
     "is no socket"),

    (QUESTIONS, {"epoll_ctl"}, None, {SERVED, "closed"}, "a peer that can't be watched is let go; it comes again"),
    (QUESTIONS, {"malloc"}, None, {SERVED, "closed", BUSY}, "a peer for whom there is no room is let go, or told"),
    (QUESTIONS, {"recvmsg"}, {E.ECONNRESET}, {SERVED, "closed"}, "it has ended, maybe after the answer"),
    (OPENED, {"sendmsg"}, {E.ETOOMANYREFS}, {BUSY}, "too many descriptors are under way; that can be said without"),
    (QUESTIONS, {"sendmsg"}, UNSENT, {"closed"}, "an answer that can't be sent is no answer"),
    (QUESTIONS, {"getpeername", "getsockname"}, None, {BAD},
     "a client's socket that can't be examined is not believed"),
    ({"list"}, {"poll"}, None, {SERVED, "told nothing"}, "nothing is listed for a process that may have ended"),
    (FILES, {"poll"}, None, {SERVED, REFUSED}, "a process that may have ended gets nothing"),
    (QUESTIONS, {"getsockopt"}, SHORT, {SERVED, "closed", BAD, BUSY},
     "a peer who is not known is let go; a client who can't be known now may come again"),
    (QUESTIONS, {"getsockopt"}, {E.ENOPROTOOPT}, {SERVED, "closed", BAD},
     "a peer or a socket that is not known is not believed; but an older kernel knows less"),
    ({"list"}, {"getsockopt"}, None, {SERVED, "closed", BAD, "told nothing"}, "nothing is listed for who is not known"),
    (QUESTIONS, {"getsockopt"}, None, {SERVED, "closed", BAD, REFUSED}, "a client who is not known gets nothing"),

    ({"socket"}, {"connect", "socket"}, SHORT, {BUSY}, "it is worth another try"),
    ({"socket"}, {"connect"}, {E.ECONNREFUSED, E.ENOENT}, {MISSING}, "nobody listens"),
    ({"socket"}, {"connect", "socket"}, None, {REFUSED}, "it may not be connected"),
    (QUESTIONS, {"fstat", "newfstatat"}, SHORT, {BAD, BUSY}, "the client's socket, or a file, can't be looked at now"),
    ({"create"}, {"newfstatat"}, ABSENT, {BAD, MISSING}, "the client's socket is not believed; what was made is gone"),
    (QUESTIONS, {"newfstatat"}, ABSENT, {SERVED, BAD},
     "the client's socket is not believed; a file is looked for again"),
    (QUESTIONS, {"fstat", "newfstatat"}, None, {BAD, REFUSED},
     "the client's socket, or a file, can't be looked at: what is not known to be right is not handed out"),
    (QUESTIONS, {"fcntl"}, SHORT, {BUSY}, "nobody is served without a descriptor for it"),
    (QUESTIONS, {"fcntl"}, None, {BUSY, REFUSED}, "nothing is handed out with the wrong flags"),
    (OPENED, {"inotify_add_watch"}, None, {BUSY}, "a copy that could not be counted is not made"),
    (OPENED, {"fchmod", "fchown", "memfd_create", "read", "readlink"}, SHORT, {BUSY}, "it is worth another try"),
    (FILES, {"fstatfs", "openat", "openat2", "write"}, SHORT, {SERVED, BUSY},
     "it is worth another try; but nobody has to wait for what only the record or the journal would say"),
    (OPENED, {"readlink"}, ABSENT, {SERVED}, "it was renamed meanwhile, and is looked for again"),
    (OPENED, {"getxattr"}, {E.ENODATA, E.ENOTSUP}, {SERVED}, "there are no other rights than the mode's"),
    (OPENED, {"read"}, {E.EINTR}, {SERVED}, "it is read again"),
    (OPENED, {"fchmod", "fchown", "getxattr", "read", "readlink"}, None, {REFUSED},
     "what can't be examined, made or copied is not handed out"),
    (FILES, {"openat", "openat2"}, ABSENT, {SERVED, MISSING}, "there is none"),
    (FILES, {"openat", "openat2"}, {E.ENXIO}, {SERVED, MISSING, REFUSED}, "there is none, or nobody behind it"),
    (FILES, {"fstatfs", "openat", "openat2", "write"}, None, {SERVED, REFUSED},
     "what can't be examined, opened or copied is not handed out; the record can do without"),
)

RULES = {"porterd": PORTERD, "opener": OPENER}


def allowed(program, step, call, error):
    """What may become of it, and why."""
    if step == "stop":
        return {"exit 0"}, "it is ending already"
    for steps, calls, errors, outcomes, why in RULES[program]:
        if step in steps and call in calls and (errors is None or error in errors):
            return outcomes, why
    return {SERVED}, "no rule allows anything else"
