"""Started in a unit's sandbox: prints as JSON what can be done and seen there.

    probe.py DOOR     DOOR: where the unit has the host's tree"""

import ctypes
import errno
import json
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value


def call(function):
    """Refused by a filter: EPERM, EACCES of memory, or EAFNOSUPPORT of a family of sockets."""
    try:
        result = function()
    except OSError as error:
        return "refused" if error.errno in (errno.EPERM, errno.EAFNOSUPPORT) else os.strerror(error.errno)
    if result in (-1, FAILED):
        number = ctypes.get_errno()
        return "refused" if number in (errno.EPERM, errno.EACCES) else os.strerror(number)
    return "done"


CALLS = {
    "mount": lambda: libc.mount(None, b"/tmp", None, 0, None),
    "unshare": lambda: libc.unshare(0x10000000),
    "writable and executable memory": lambda: libc.mmap(None, 4096, 7, 0x22, -1, 0),
    "internet socket": lambda: socket.socket(socket.AF_INET).close(),
    "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "personality": lambda: libc.personality(0x0400000),
    "keyring": lambda: libc.syscall(250, 0, -3, 0),
    "chroot": lambda: os.chroot("/"),
    "swap": lambda: libc.swapoff(b"/none"),
    "module": lambda: libc.syscall(176, b"none", 0),
}


def entries(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return None


def is_writable(directory):
    path = f"{directory}/porterd-test-probe"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.unlink(path)
        return True
    except OSError:
        return False


def opens_for_writing(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
        return True
    except OSError:
        return False


def main(door):
    places = ["/", "/etc", "/usr", "/home", "/root", "/tmp", "/var/tmp", "/var/lib", "/var/log", "/run", "/run/lock",
              "/dev", "/dev/shm"]
    controls = ["/proc/sys/kernel/core_pattern", "/sys/kernel/mm/ksm/run", "/sys/fs/cgroup/cgroup.procs"]
    inner = ["", door, f"{door}/run/systemd/unit-root", f"{door}/run/systemd/mount-rootfs",
             *(f"{view}/run/porterd-opener-root{copy}" for view in ("", door) for copy in ("", "/host"))]
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    print(json.dumps({
        "calls": {name: call(function) for name, function in CALLS.items()},
        "entries": {path: entries(path) for path in
                    ("/home", "/root", "/tmp", "/run/user", "/srv", "/opt", "/run/porterd", *inner[2:])},
        "processes": "own" if "1" not in pids else "all",
        "network": os.readlink("/proc/self/ns/net"),
        "writable": [p for p in places if is_writable(p)] + [p for p in (door + p for p in places) if is_writable(p)],
        "controls": [p + c for p in inner for c in controls if opens_for_writing(p + c)],
    }))


main(*sys.argv[1:])
