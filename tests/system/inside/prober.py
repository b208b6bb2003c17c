"""What can a program do that runs as porterd does? Started in its place, tries what it should not be able to, and prints
what it could all the same, a line of JSON.

    prober.py SECRET VICTIM PORTERD...    a file of root's, a process of root's, and what else porterd consists of"""

import ctypes
import json
import os
import pathlib
import socket
import sys
import tempfile

could, tried = [], 0
libc = ctypes.CDLL(None, use_errno=True)


def attempt(what, function, *arguments):
    """Refused is an OSError, or a negative number with errno."""
    global tried
    tried += 1
    try:
        result = function(*arguments)
    except OSError:
        return
    if not (isinstance(result, int) and result < 0):
        could.append(what)


def in_child(function, *arguments):
    """What it changes ends with the child."""
    child = os.fork()
    if child == 0:
        os._exit(0 if function(*arguments) == 0 else 1)
    return -os.waitpid(child, 0)[1]


def write(directory):
    with tempfile.NamedTemporaryFile(dir=directory, prefix="porterd-prober-"):
        pass


def takes_over(pid):
    """What one process can have of another: its memory, and through its descriptors other people's connections."""
    attempt(f"reads the environment of {pid}", lambda: pathlib.Path(f"/proc/{pid}/environ").open("rb").read(1))
    attempt(f"opens the memory of {pid}", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)))
    attempt(f"reads the memory of {pid}", lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)))
    attempt(f"lists the descriptors of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
    for fd in range(10):
        # A socket can't be opened by this path, whoever may.
        attempt(f"looks at descriptor {fd} of {pid}", lambda: os.readlink(f"/proc/{pid}/fd/{fd}"))
        attempt(f"opens descriptor {fd} of {pid}", lambda: os.close(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY)))
        attempt(f"takes descriptor {fd} of {pid}", lambda: libc.syscall(438, os.pidfd_open(pid), fd, 0))
    attempt(f"traces {pid}", libc.ptrace, 16, pid, None, None)


def main(secret, victim, *others):
    os.chdir("/")
    for root, directories, _ in os.walk("/"):
        # What the kernel shows of itself is not written by making files in it; it has tests of its own below.
        directories[:] = [d for d in directories if os.path.join(root, d) not in ("/proc", "/sys")]
        if not root.startswith("/dev/fd"):
            attempt(f"writes in {root}", write, root)
    for path in ("/etc/shadow", "/etc/gshadow", secret, "/proc/1/environ", "/proc/kmsg", "/dev/mem", "/dev/kmsg"):
        attempt(f"reads {path}", lambda: pathlib.Path(path).open("rb").read(1))
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs"):
        attempt(f"writes {path}", lambda: os.close(os.open(path, os.O_WRONLY)))
    for pid in (1, victim):
        attempt(f"signals {pid}", os.kill, pid, 0)
    attempt("becomes root", os.setresuid, 0, 0, 0)
    attempt("gets a group", os.setgroups, [0])
    attempt("mounts", libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)
    for flag, name in ((0x20000, "mount"), (0x10000000, "user"), (0x40000000, "network"), (0x20000000, "PID")):
        attempt(f"makes a {name} namespace", in_child, libc.unshare, flag)
    for pid in (victim, *others):
        takes_over(pid)
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
        attempt(f"makes a socket of {family.name}", lambda: socket.socket(family, socket.SOCK_RAW
                if family in (socket.AF_NETLINK, socket.AF_PACKET) else socket.SOCK_STREAM).close())
    attempt("maps memory to write and run", lambda: libc.mmap(None, 4096, 7, 0x22, -1, 0) == -1 and -1)
    attempt("makes a set-user-ID file", lambda: os.fchmod(os.memfd_create("x"), 0o4755))
    attempt("replaces its program", os.truncate, "/usr/sbin/porterd", 0)
    attempt("loads a module", libc.syscall, 313, 0, b"", 0)
    attempt("sets the clock", libc.settimeofday, b"\0" * 16, None)
    status = pathlib.Path("/proc/self/status").read_text()
    capabilities = [line for line in status.splitlines() if line.startswith("Cap") and int(line.split()[1], 16)]
    print(json.dumps({"prober": tried, "could": could, "capabilities": capabilities, "uid": os.getuid(),
                      "no_new_privileges": "NoNewPrivs:\t1" in status}), flush=True)
    # The service is to stay until it was read.
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
