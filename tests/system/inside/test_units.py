"""AllowUnit= and the units that there are: what systemd says a process runs in, and what it doesn't."""

import pathlib
import shutil

from harness import (CLIENT, RUNTIME_UNITS, Skip, contains, cursor, equal, grant, in_unit, journal, policy, run, secret,
                     systemctl, test, unit_file, wait_until)
from test_credentials import user

GRANTED = "porterd-test-granted.service"
# Becomes a child of its own cgroup, of any name, as a manager of cgroups would.
SUB = """
import os, sys
own = open("/proc/self/cgroup").read().splitlines()
unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
line = [l for l in own if l.startswith("0::" if unified else "1:name=systemd:")][0]
path = ("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/systemd") + line.split(":", 2)[2]
path = os.path.join(path, sys.argv[1])
os.makedirs(path, exist_ok=True)
open(path + "/cgroup.procs", "w").write(str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""
SUB_FILE = pathlib.Path("/run/porterd-tests-sub.py")
SAID = pathlib.Path("/run/porterd-tests-said")
OPEN_KEY = [*CLIENT, "open", "key"]


def allow(*units):
    policy(grant("key", secret("key"), "AllowUnit=" + " ".join(units)))


def sub(name, command):
    return ["python3", "-c", SUB, name, *command]


def opened(*command, **options):
    """Did the command read the key? Otherwise what it said instead."""
    said = in_unit(*(command or OPEN_KEY), ok=False, **options)
    return said.stdout == "secret\n" or said.stdout + said.stderr


def ck_refused(said, reason):
    if said is True:
        raise AssertionError("it was opened")
    contains(said, "NotPermitted")
    contains(said, reason)


@test
def a_service_and_its_helpers():
    """ExecStartPre= and what a unit's processes start are in it, too."""
    allow(GRANTED)
    equal(opened(unit=GRANTED), True)
    equal(opened("sh", "-c", '(exec setsid "$@")', "sh", *OPEN_KEY, unit=GRANTED), True)
    ck_refused(opened(unit="porterd-test-granted2"), "the client's unit is not in AllowUnit=")
    ck_refused(opened(unit="xporterd-test-granted"), "the client's unit is not in AllowUnit=")


@test
def instances_of_a_template():
    unit_file("porterd-test@.service", f"[Service]\nType=oneshot\nExecStart={' '.join(OPEN_KEY)}\n")
    allow("porterd-test@one.service")
    for instance, status in (("one", 0), ("two", 1), ("oneone", 1)):
        done = systemctl("start", f"porterd-test@{instance}.service", ok=False)
        equal(bool(done.returncode), bool(status), instance)


@test
def a_scope():
    allow("porterd-test.scope")
    scope = ["systemd-run", "--quiet", "--scope", "--collect"]
    equal(run(*scope, "--unit=porterd-test.scope", *OPEN_KEY).stdout, "secret\n")
    done = run(*scope, "--unit=porterd-test2.scope", *OPEN_KEY, ok=False)
    ck_refused(done.stdout, "the client's unit is not in AllowUnit=")


@test
def a_slice_is_nobody():
    """It can't be named, and a unit in it is only itself."""
    after = cursor()
    allow("porterd-test.slice")
    ck_refused(opened(unit="porterd-test-in-slice", Slice="porterd-test.slice"), "the policy has an error")
    wait_until(lambda: any("is not the full name of a unit" in str(entry.get("MESSAGE")) for entry in journal(after)),
               "an error of the policy")
    allow(GRANTED)
    equal(opened(unit=GRANTED, Slice="porterd-test.slice"), True)
    equal(opened(unit=GRANTED, Slice="porterd-test-deep-er.slice"), True)


@test
def a_delegated_sub_cgroup_is_its_unit():
    allow(GRANTED)
    equal(opened(*sub("payload", OPEN_KEY), unit=GRANTED, Delegate="yes"), True)
    equal(opened(*sub("other.service", OPEN_KEY), unit=GRANTED, Delegate="yes"), True)
    # Whoever has a subtree may call what is in it as they like.
    for name in (GRANTED, f"x.slice/{GRANTED}", f"user.slice/{GRANTED}", f"system.slice/{GRANTED}"):
        ck_refused(opened(*sub(name, OPEN_KEY), unit="porterd-test-forger", Delegate="yes"),
                   "the client's unit is not in AllowUnit=")


def as_manager(uid, command):
    """Runs it as user@UID.service, in that one's place; the key, or what was said instead."""
    manager = f"user@{uid}.service"
    SAID.unlink(missing_ok=True)
    words = " ".join(f'"{word}"' for word in command)
    unit_file(manager, f"[Service]\nType=oneshot\nUser=alice\nDelegate=yes\nSlice=user-{uid}.slice\n"
                       f"StandardOutput=truncate:{SAID}\nExecStart={words}\n")
    systemctl("daemon-reload")
    systemctl("start", manager, ok=False)
    said = SAID.read_text()
    return said == "secret\n" or said


@test
def a_users_units_are_their_managers():
    """user@UID.service is delegated, and its manager has units of its own below: they have names that systemd gives to
    nobody."""
    uid, _ = user("alice")
    SUB_FILE.write_text(SUB)
    for name in (f"app.slice/{GRANTED}", "session.slice/other.service", "init.scope"):
        command = ["/usr/bin/python3", str(SUB_FILE), name, "/usr/bin/python3", *OPEN_KEY[1:]]
        allow(f"user@{uid}.service")
        equal(as_manager(uid, command), True)
        allow(GRANTED, "other.service", "init.scope")
        ck_refused(as_manager(uid, command), "the client's unit is not in AllowUnit=")


@test
def a_real_users_manager():
    """Without PAM and a bus, which not every tree has."""
    uid, gid = user("alice")
    manager, runtime = f"user@{uid}.service", pathlib.Path(f"/run/user/{uid}")
    units, said, dropped = runtime / "systemd/user", runtime / "said", RUNTIME_UNITS / f"{manager}.d"
    as_alice = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env", f"XDG_RUNTIME_DIR={runtime}",
                "systemctl", "--user"]
    dropped.mkdir(parents=True)
    (dropped / "test.conf").write_text(f"[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR={runtime}\n")
    systemctl("daemon-reload")
    try:
        systemctl("start", manager)
        units.mkdir(exist_ok=True)
        (units / GRANTED).write_text(f"[Service]\nType=oneshot\nExecStart=/usr/bin/{' '.join(OPEN_KEY)}\n"
                                     f"StandardOutput=truncate:{said}\n")
        run(*as_alice, "daemon-reload")
        allow(GRANTED)
        run(*as_alice, "start", GRANTED, ok=False)
        ck_refused(said.read_text(), "the client's unit is not in AllowUnit=")
        allow(manager)
        run(*as_alice, "start", GRANTED)
        equal(said.read_text(), "secret\n")
    finally:
        systemctl("stop", manager, ok=False)
        shutil.rmtree(dropped)


@test
def no_unit_at_all():
    """Somebody has moved it to the root of all cgroups."""
    allow(GRANTED)
    unified = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
    root = "/sys/fs/cgroup" if unified else "/sys/fs/cgroup/systemd"
    done = run("sh", "-c", f'echo $$ >{root}/cgroup.procs; exec "$@"', "sh", *OPEN_KEY, ok=False)
    if "cgroup.procs" in done.stderr:
        raise Skip("a process can't be in the root of cgroups here")
    ck_refused(done.stdout, "the client runs in no system unit")


@test
def a_unit_of_a_user():
    """Unit and user together: each alone is not enough."""
    user("alice")
    policy(grant("key", secret("key"), f"AllowUnit={GRANTED}", "AllowUser=alice"))
    equal(opened(unit=GRANTED, User="alice"), True)
    ck_refused(opened(unit=GRANTED), "the client's user is not in AllowUser=")
    ck_refused(opened(unit="porterd-test-other", User="alice"), "the client's unit is not in AllowUnit=")
