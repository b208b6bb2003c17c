"""What a program can do that has taken porterd over: it runs with porterd's unit in porterd's place."""

import json
import os
import pwd

import client
import prober
from harness import cursor, drop_in, equal, journal, main_pid, run, secret, systemctl, test, wait_until

# Where everybody may write: temporary files, shared memory, queues, locks.
EVERYBODYS = ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run/lock")


def probe(unit, start, others):
    """What a program could that runs in the unit's place, also to those other processes of the product."""
    path = secret("key")
    after = cursor()
    words = " ".join(map(str, [path, os.getpid(), *others]))
    drop_in(unit, "[Service]\nType=exec\nRestart=no\nExecStart=\n"
                  f"ExecStart=python3 -B {prober.__file__} {words}\n")
    start()

    def said():
        return [entry["MESSAGE"] for entry in journal(after) if str(entry.get("MESSAGE")).startswith('{"prober"')]
    return json.loads(wait_until(said, "what the prober says", 60)[0])


def ck_harmless(got):
    equal(got["uid"], pwd.getpwnam("porterd").pw_uid)
    equal((got["capabilities"], got["no_new_privileges"]), ([], True), "capabilities and no_new_privs")
    could = [what for what in got["could"]
             if not any(what.startswith(f"writes in {path}") for path in EVERYBODYS)]
    equal(could, [], "what it could do")
    equal(got["prober"] > 50, True, "it tried many things")


def opener():
    """Its process, once it runs."""
    systemctl("start", "porterd-opener.service")
    return main_pid("porterd-opener.service")


@test
def the_service():
    systemctl("start", "porterd-isolated-echo.socket")
    # Of the same user, and with a connection that is somebody else's.
    with client.connect("/run/porterd/isolated/echo") as one:
        one.sendall(b"x")
        equal(one.recv(1), b"x")
        listed = systemctl("list-units", "--plain", "--no-legend", "porterd-isolated-echo@*.service").stdout
        alone = main_pid(listed.split()[0])
        ck_harmless(probe("porterd.service", lambda: systemctl("start", "porterd.service"), [opener(), alone]))


@test
def the_process_of_one_client():
    systemctl("start", "porterd-isolated.socket")
    # Whose connections are all others'.
    systemctl("start", "porterd.service")
    got = probe("porterd-isolated@.service",
                lambda: run("python3", "-c", "import socket; socket.socket(socket.AF_UNIX).connect("
                            "'/run/porterd/isolated/io.porterd')"), [opener(), main_pid("porterd.service")])
    # Its unit has no filter of system calls: a filter for each client costs more than it keeps out.
    without_filters = ("makes a user namespace", "makes a socket of AF_", "maps memory to write and run",
                       "makes a set-user-ID file")
    got["could"] = [what for what in got["could"] if not what.startswith(without_filters)]
    ck_harmless(got)
