"""What a porterd that was taken over gets of the opener: what its clients may have, and nothing else."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import client
import forger
from harness import (FILES, contains, cursor, drop_in, equal, grant, in_unit, journal, mount, policy, raises, run,
                     secret, state, systemctl, test, unit_file, unmount, wait_until)
from test_credentials import user

OK, NOT_PERMITTED, BAD_REQUEST = 0, 2, 8
GO = pathlib.Path("/run/porterd-tests-go")
COMMAND = ["python3", "-B", forger.__file__]
STRANGER = 2  # bin


def forge(*arguments):
    """What the opener answered, by kind; run as root, which becomes porterd."""
    said = run(*COMMAND, *arguments).stdout
    return {answer["forger"]: answer for answer in map(json.loads, said.splitlines())}


def refused(answer, result, reason):
    equal((answer["result"], answer["fds"]), (result, 0), answer["forger"])
    contains(answer["text"], reason, answer["forger"])


@test
def without_a_client_there_is_nothing():
    policy(grant("key", secret("key"), "AllowUser=root"))
    got = forge("key", "none", "packets", "connecting", "connecting-bound", "autobound", "listener", "pair")
    equal(got["connecting"]["uid"], 0, "whom the kernel names at the wrong end")
    refused(got["none"], BAD_REQUEST, "without exactly one descriptor")
    for kind in ("packets", "connecting"):
        refused(got[kind], BAD_REQUEST, "without a client's connected stream socket")
    equal(got["connecting-bound"]["uid"], 0, "whom the kernel names at the wrong end that it bound")
    for kind in ("connecting-bound", "autobound", "listener"):
        refused(got[kind], NOT_PERMITTED, "is not connected to a socket of porterd's")
    refused(got["pair"], NOT_PERMITTED, "the client's user is not in AllowUser=")


@test
def with_its_own_pair_it_is_itself():
    policy(grant("key", secret("key"), "AllowUser=porterd"))
    after = cursor()
    got = forge("key", "pair")["pair"]
    equal((got["result"], got["fds"]), (OK, 1))
    record = wait_until(lambda: journal(after, PORTERD_FILE="key"), "a record")[0]
    equal((record["PORTERD_CLIENT_UID"], record["PORTERD_CLIENT_PID"]), (str(got["uid"]), str(got["pid"])))


@test
def with_a_pair_that_it_was_lent_it_is_nobody():
    policy(grant("key", secret("key"), "AllowUser=root bin"))
    got = forge("--lender", STRANGER, "key", "lent", "lent-bound")
    equal([got[kind]["uid"] for kind in got], [STRANGER] * 2, "whom the kernel names")
    refused(got["lent"], BAD_REQUEST, "without a client's connected stream socket")
    refused(got["lent-bound"], BAD_REQUEST, "neither porterd nor the service manager has accepted")
    roots = forge("--lender", 0, "key", "lent", "lent-bound")
    refused(roots["lent"], BAD_REQUEST, "without a client's connected stream socket")
    refused(roots["lent-bound"], NOT_PERMITTED, "another socket that was bound by the name of porterd's")


FORGED = ("to-autobound-listener", "to-listener-of-such-a-name", "bound-pair", "accepted-elsewhere",
          "accepted-elsewhere-with-name")


@test
def another_socket_of_that_name_is_nobody():
    """Whether root listens, connects or has made a pair: what is bound elsewhere is not porterd's."""
    policy(grant("key", secret("key"), "AllowUser=root"))
    got = forge("--forge", 1, "key", *FORGED)
    equal([got[kind]["uid"] for kind in FORGED], [0] * len(FORGED), "whom the kernel names")
    for kind in FORGED:
        refused(got[kind], NOT_PERMITTED, "another socket that was bound by the name of porterd's")


# --- clients that have a name --------------------------------------------------------------------

SO_PASSPIDFD = 76


def named_client(when, option):
    """A client that the kernel has bound, or, if it asks for that late, has not."""
    def prepare(one):
        one.setsockopt(socket.SOL_SOCKET, option, 1)
    varlink = client.Varlink(prepare=prepare if when == "early" else None)
    if when == "late":
        prepare(varlink.socket)
    equal(varlink.socket.getsockname() != "", when == "early", "it has a name")
    return varlink


@test
def a_client_that_the_kernel_bound_is_served():
    """Every client of libvarlink's is one, and whoever wants to know who answers."""
    policy(grant("key", secret("key", "of key"), "AllowUser=root"))
    for option in (socket.SO_PASSCRED, SO_PASSPIDFD):
        for when in ("early", "late"):
            with named_client(when, option) as varlink:
                files = varlink.call("io.porterd.Files.List")["files"]
                equal([file["name"] for file in files], ["key"], f"{option} {when}")
                with varlink.open("key") as file:
                    equal(file.read(), b"of key", f"{option} {when}")


@test
def a_client_that_has_bound_itself():
    policy(grant("key", secret("key", "of key"), "AllowUser=root"))
    for name in (b"\0abcde", b"\0a client", str(FILES / "client")):
        with client.Varlink(prepare=lambda one, name=name: one.bind(name)) as varlink, varlink.open("key") as file:
            equal(file.read(), b"of key", name)


@test
def without_its_capability_the_opener_guesses_nothing():
    """As in a container that has no network of its own: what has two names could be the listening end."""
    policy(grant("key", secret("key"), "AllowUser=root"))
    drop_in("porterd-opener.service", "[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n")
    systemctl("restart", "porterd-opener.service")
    named = [kind for kind in FORGED if kind != "accepted-elsewhere"]
    got = forge("--forge", 1, "key", *named)
    for kind in named:
        refused(got[kind], NOT_PERMITTED, "is bound to an address")
    with named_client("early", socket.SO_PASSCRED) as varlink:
        equal(raises(client.VarlinkError, varlink.open, "key").name, "NotPermitted")
        equal(raises(client.VarlinkError, varlink.call, "io.porterd.Files.List").name, "PermissionDenied")
    with named_client("late", socket.SO_PASSCRED) as varlink:
        varlink.open("key").close()


@test
def nobody_else_speaks_to_the_opener():
    policy(grant("key", secret("key"), "AllowUser=root"))
    after = cursor()
    opener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    opener.connect(forger.OPENER)
    opener.settimeout(20)
    try:
        equal(opener.recv(100), b"", "what root is told")
    except ConnectionResetError:
        pass
    wait_until(lambda: any("only porterd may ask" in str(entry.get("MESSAGE")) for entry in journal(after)),
               "a record of it")


# --- with the connection of a client that systemd accepted -------------------------------------


def isolated_forger(*names):
    """In place of the process that serves one client: asks for the files when GO is there."""
    GO.unlink(missing_ok=True)
    commands = "".join(f"ExecStart={' '.join(COMMAND)} --wait {GO} {name} inherited\n" for name in names)
    drop_in("porterd-isolated@.service", f"[Service]\nType=oneshot\nExecStart=\n{commands}StandardInput=null\n")
    systemctl("start", "porterd-isolated.socket")


def answers(after, count):
    """What the forger has printed."""
    GO.touch()

    def printed():
        lines = [str(entry["MESSAGE"]) for entry in journal(after)
                 if str(entry.get("MESSAGE")).startswith('{"forger"')]
        return lines if len(lines) == count else None
    return [json.loads(line) for line in wait_until(printed, "the forger's answers")]


CONNECT = """
import os, socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
os.set_inheritable(one.fileno(), True)
print(os.getpid(), flush=True)
if len(sys.argv) > 2:
    os.execv(sys.argv[2], sys.argv[2:])
sys.stdin.read()
"""


def connected(*command, **options):
    """A process that connects, and then becomes COMMAND, or waits for its input's end."""
    process = subprocess.Popen([sys.executable, "-c", CONNECT, client.ISOLATED, *command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, **options)
    equal(int(process.stdout.readline()), process.pid, "pid")
    wait_until(lambda: run("systemctl", "list-units", "--plain", "--no-legend", "porterd-isolated@*").stdout,
               "the process that serves it")
    return process


def end(process):
    process.stdin.close()
    process.stdout.close()
    process.kill()
    process.wait()


@test
def a_client_that_is_there():
    policy(grant("key", secret("key"), "AllowUser=root"))
    isolated_forger("key")
    after = cursor()
    process = connected()
    got, = answers(after, 1)
    end(process)
    equal((got["result"], got["fds"], got["pid"]), (OK, 1, process.pid))


@test
def a_client_that_left():
    policy(grant("key", secret("key"), "AllowUser=root"))
    isolated_forger("key")
    after = cursor()
    end(connected())
    got, = answers(after, 1)
    refused(got, NOT_PERMITTED, "the process that connected has exited")


@test
def a_client_that_became_a_program_of_root():
    """By its set-user-ID bit. Who connected stays who it was."""
    user("alice")
    secret("key")
    suid = FILES / "sleep"
    suid.write_bytes(pathlib.Path("/bin/sleep").read_bytes())
    suid.chmod(0o4755)
    policy(grant("roots", FILES / "key", "AllowUser=root") + grant("alices", FILES / "key", "AllowUser=alice"))
    isolated_forger("roots", "alices")
    after = cursor()
    process = connected(str(suid), "1000", user="alice")
    wait_until(lambda: os.stat(f"/proc/{process.pid}").st_uid == 0, "it is root's now")
    roots, alices = answers(after, 2)
    end(process)
    refused(roots, NOT_PERMITTED, "the client's user is not in AllowUser=")
    equal((alices["result"], alices["fds"]), (OK, 1))


PROC = pathlib.Path("/run/porterd-tests-proc")


def newcomer(pid):
    """A process of that pid, and no relation, as after a turn through a small pid_max. Somebody else may get it: then it
    is tried again when that one has left."""
    PROC.mkdir(exist_ok=True)
    mount("proc", PROC, "proc")  # /proc/sys is read-only in a container
    try:
        for _ in range(1000):
            (PROC / "sys/kernel/ns_last_pid").write_text(str(pid - 1))
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            if child == pid:
                return child
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            time.sleep(0.01)
    finally:
        unmount(PROC)
        PROC.rmdir()
    raise AssertionError(f"no process got pid {pid}")


@test
def a_client_whose_pid_another_process_has():
    """That one is in the unit, and root's. Its pid is what the socket still names."""
    policy(grant("by-unit", secret("key"), "AllowUnit=porterd-test-granted.service") +
           grant("by-user", FILES / "key", "AllowUser=root"))
    unit_file("porterd-test-granted.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    systemctl("start", "porterd-test-granted.service")
    isolated_forger("by-unit", "by-user")
    after = cursor()
    process = connected()
    end(process)
    child = newcomer(process.pid)
    try:
        cgroup = run("systemctl", "show", "-P", "ControlGroup", "porterd-test-granted.service").stdout.strip()
        for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd"):
            if os.path.exists(f"{root}{cgroup}/cgroup.procs"):
                pathlib.Path(f"{root}{cgroup}/cgroup.procs").write_text(str(child))
        contains(pathlib.Path(f"/proc/{child}/cgroup").read_text(), "porterd-test-granted.service")
        got = answers(after, 2)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for one in got:
        equal(one["pid"], child, "whose pid the kernel names")
        refused(one, NOT_PERMITTED, "the process that connected has exited")
    for record in wait_until(lambda: journal(after, PORTERD_RESULT="refused"), "records"):
        equal(record.get("PORTERD_CLIENT_UNIT"), None, "unit")


@test
def a_client_in_the_unit_itself():
    """So that what was refused above could have been granted."""
    policy(grant("key", secret("key"), "AllowUnit=porterd-test-granted.service"))
    isolated_forger("key")
    after = cursor()
    GO.touch()
    in_unit(sys.executable, "-c", CONNECT.replace("sys.stdin.read()", "one.recv(1)"), client.ISOLATED,
            unit="porterd-test-granted")
    got, = answers(after, 1)
    equal((got["result"], got["fds"]), (OK, 1))
    equal(state("porterd-opener.service"), "active")
