"""What the units take away is away, and what the job needs is left."""

import json
import os
import pathlib
import socket

import client
from harness import (client_in_unit, contains, drop_in, equal, grant, in_unit, main_pid, mount, only_if, policy, raises,
                     run, state, systemctl, systemd_version, test, unmount)
from test_credentials import user

GET = b'{"method":"io.porterd.Credentials.Get"}'
DGRAM = "/run/porterd/credentials.dgram"
PROBE = pathlib.Path(__file__).with_name("probe.py")


def takes_filters():
    """Does systemd install seccomp filters here at all? tests/system/run says so where it does not."""
    return "Seccomp:\t2" in in_unit("cat", "/proc/self/status", LockPersonality="yes").stdout


FILTERS = only_if(takes_filters())


def probe(unit):
    """What a program finds that is started in the unit's own sandbox, as the service is."""
    drop_in(unit, f"[Service]\nBindReadOnlyPaths={PROBE.parent}\nStandardOutput=journal\n"
            f"ExecStartPre=/usr/bin/python3 -B {PROBE} {'/host' if 'opener' in unit else '/run/porterd/host'}\n")
    systemctl("start", unit)
    said = run("journalctl", "-u", unit, "-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation(unit)}").stdout
    return json.loads(next(line for line in said.splitlines() if line.startswith("{")))


def invocation(unit):
    run("journalctl", "--sync")
    return systemctl("show", "-P", "InvocationID", unit).stdout.strip()


# --- what is away ------------------------------------------------------------------------------


@FILTERS
def filters_are_in_force():
    client.call("io.porterd.Files.List")
    for unit in ("porterd.service", "porterd-opener.service"):
        status = run("cat", f"/proc/{main_pid(unit)}/status").stdout
        contains(status, "Seccomp:\t2\n", unit)
        contains(status, "NoNewPrivs:\t1\n", unit)


@FILTERS
def filters_refuse_what_they_are_for():
    for unit in ("porterd.service", "porterd-opener.service"):
        found = probe(unit)
        for what in ("mount", "unshare", "writable and executable memory", "internet socket", "netlink socket",
                     "realtime", "personality", "keyring", "chroot", "swap", "module"):
            equal(found["calls"][what], "refused", f"{what} in {unit}")


@test
def the_daemon_sees_little_and_writes_nothing():
    found = probe("porterd.service")
    for path in ("/home", "/root", "/tmp", "/run/user"):
        equal(found["entries"][path] or [], [], path)
    equal(found["processes"], "own", "processes in /proc")
    equal(found["network"] != os.readlink("/proc/1/ns/net"), True, "a network of its own")
    # /tmp is its own; the others are everybody's, but through the door.
    equal([p for p in found["writable"] if p not in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")], [], "writable places")
    equal(found["controls"], [], "writable controls of the kernel")


@test
def the_openers_view_is_small_but_for_the_door():
    found = probe("porterd-opener.service")
    for path in ("/home", "/root", "/srv", "/run/porterd"):
        equal(found["entries"][path] or [], [], path)
    equal(found["network"] != os.readlink("/proc/1/ns/net"), True, "a network of its own")
    equal(found["controls"], [], "writable controls of the kernel")
    equal([p for p in found["writable"] if p.startswith(("/etc", "/usr", "/var/l"))], [], "writable places")
    for path in ("/host/run/systemd/unit-root", "/host/run/systemd/mount-rootfs",
                 "/run/porterd-opener-root", "/host/run/porterd-opener-root"):
        equal(found["entries"][path] or [], [], path)


# --- what is left: the daemon ------------------------------------------------------------------


def ask_from(path):
    """A datagram from a socket that is bound there, and the answer's credentials."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.bind(path)
        if path[:1] == "/":
            os.chmod(path, 0o666)
        try:
            asking.sendto(GET, DGRAM)
            return json.loads(asking.recv(65536))["parameters"]["credentials"]
        except TimeoutError:
            return None
        finally:
            if path[:1] == "/":
                os.unlink(path)


@test
def datagrams_are_answered_wherever_the_sender_is_bound():
    for directory in ("/tmp", "/var/tmp", "/home/porterd-test", "/root", "/run/user/0", "/srv", "/dev/shm",
                      "/run/lock"):
        made = not os.path.isdir(directory)
        os.makedirs(directory, mode=0o755, exist_ok=True)
        mode = os.stat(directory).st_mode
        os.chmod(directory, 0o755 | mode)  # who may not go there can't answer there, whoever it is
        try:
            got = ask_from(f"{directory}/porterd-test-answer")
            equal(got and got["unit"], "porterd-tests.service", directory)
        finally:
            os.chmod(directory, mode & 0o7777)
            if made:
                os.rmdir(directory)


@test
def datagrams_of_abstract_senders_are_answered():
    for name in ("", "\0porterd-test-abstract"):
        equal(ask_from(name)["unit"], "porterd-tests.service", repr(name))


@test
def datagrams_are_answered_on_what_was_mounted_later():
    client.echo("/run/porterd/echo", b"x")
    equal(state("porterd.service"), "active")
    later = pathlib.Path("/srv/porterd-test-later")
    later.mkdir()
    mount("tmpfs", later, "tmpfs", options="mode=0755")
    try:
        equal(ask_from(str(later / "socket"))["uid"], 0, "uid")
    finally:
        unmount(later)
        later.rmdir()


@test
def a_large_uid_is_exact_everywhere():
    for path in (DGRAM, "/run/porterd/credentials.seqpacket"):
        done = run("setpriv", "--reuid=70000", "--regid=70001", "--groups=70002", "python3", "-B", client.__file__,
                   "message", path, GET.decode())
        got = json.loads(done.stdout)["parameters"]["credentials"]
        equal((got["uid"], got["gid"], got["unit"]), (70000, 70001, "porterd-tests.service"), path)
    if systemd_version() >= 258:
        users = pathlib.Path(f"/proc/{main_pid('porterd.service')}/ns/user").readlink()
        equal(users != pathlib.Path("/proc/1/ns/user").readlink(), True, "a user namespace of its own")


@test
def units_of_all_kinds_are_found():
    client.call("io.porterd.Credentials.Get")
    got = client_in_unit("varlink", "io.porterd.Credentials.Get", unit="porterd-test-deep", Slice="porterd-test-a.slice",
                         User="daemon")
    equal(got["credentials"]["unit"], "porterd-test-deep.service", "in a slice of a slice")
    said = run("systemd-run", "--quiet", "--scope", "--unit=porterd-test-scope", "porterctl", "--json", "whoami").stdout
    contains(said, '"porterd-test-scope.scope"')


# --- what is left: the opener ------------------------------------------------------------------


@test
def a_file_of_mode_0000_in_a_foreign_directory_of_mode_0700():
    uid, gid = user("alice")
    home = pathlib.Path("/home/porterd-test-alice")
    home.mkdir(mode=0o700)
    try:
        (home / "key").write_text("of alice")
        (home / "key").chmod(0)
        for path in (home / "key", home):
            os.chown(path, uid, gid)
        policy(grant("key", home / "key", "AllowUser=70000"))
        done = run("setpriv", "--reuid=70000", "--clear-groups", "python3", "-B", client.__file__, "open", "key")
        equal(done.stdout, "of alice")
        done = run("setpriv", "--reuid=70001", "--clear-groups", "python3", "-B", client.__file__, "open", "key", ok=False)
        contains(done.stdout, "NotPermitted")
    finally:
        run("rm", "-r", home)


@test
def files_are_written_and_created_anywhere():
    places = [pathlib.Path(p) for p in ("/var/log", "/home", "/srv", "/etc", "/root", "/opt", "/var/tmp", "/tmp", "/usr/local")]
    policy("".join(grant(f"write{n}", place / "porterd-test", "AllowUser=root", "Access=append", "Create=yes", "Mode=0604")
                   for n, place in enumerate(places)))
    try:
        for number, place in enumerate(places):
            for text in ("one", "two"):
                run("porterctl", "exec", f"write{number}", "--", "sh", "-c", f"echo {text} >&3")
            equal((place / "porterd-test").read_text(), "one\ntwo\n", str(place))
            status = (place / "porterd-test").stat()
            equal((status.st_uid, status.st_gid, oct(status.st_mode)), (0, 0, "0o100604"), str(place))
    finally:
        for place in places:
            (place / "porterd-test").unlink(missing_ok=True)


@test
def files_on_what_was_mounted_after_the_opener_started():
    later = pathlib.Path("/srv/porterd-test-later")
    policy(grant("later", later / "sub/file", "AllowUser=root") + grant("way", "/proc/sys/kernel/core_pattern", "AllowUser=root"))
    equal(client.call("io.porterd.Files.Check", {"file": "later"})["permitted"], False, "before")
    opener = main_pid("porterd-opener.service")
    later.mkdir()
    mount("tmpfs", later, "tmpfs", options="mode=0755")
    try:
        (later / "sub").mkdir()
        (later / "sub/file").write_text("mounted later")
        with client.Varlink() as varlink, varlink.open("later") as file:
            equal(file.read(), b"mounted later")
        equal(main_pid("porterd-opener.service"), opener, "the opener that was there before")
        with client.Varlink() as varlink:
            equal(raises(client.VarlinkError, varlink.open, "way").name, "WrongType", "controls of the kernel")
    finally:
        # A mount that somebody else's view keeps would not let itself be unmounted for long.
        unmount(later)
        later.rmdir()


@test
def devices_and_sockets_anywhere():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/home/porterd-test-socket")
        os.chmod("/home/porterd-test-socket", 0o600)
        listener.listen()
        # Not one of the pseudo devices that everybody may use.
        os.mknod("/srv/porterd-test-kmsg", 0o020600, os.makedev(1, 11))
        policy(grant("socket", "/home/porterd-test-socket", "AllowUser=daemon", "Type=socket") +
               grant("kmsg", "/srv/porterd-test-kmsg", "AllowUser=daemon", "Type=device", "Access=write"))
        try:
            in_unit("porterctl", "exec", "socket", "kmsg", "--", "sh", "-c", "echo hello >&3; test -c /proc/self/fd/4",
                    User="daemon")
            listener.settimeout(10)
            connection, _ = listener.accept()
            with connection:
                equal(connection.recv(100), b"hello\n")
        finally:
            os.unlink("/home/porterd-test-socket")
            os.unlink("/srv/porterd-test-kmsg")


@test
def hidden_writability_is_still_seen():
    # The checks look at the host's directories, not at those of the opener's own view.
    path = pathlib.Path("/tmp/porterd-test-linked")
    pathlib.Path("/root/porterd-test").write_text("key")
    os.chmod("/root/porterd-test", 0o600)
    try:
        os.link("/root/porterd-test", path)
    except OSError:
        path.write_text("key")
        os.link(path, "/tmp/porterd-test-other")
    try:
        policy(grant("linked", path, "AllowUser=daemon"))
        got = client_in_unit("open", "linked", User="daemon", ok=False)
        contains(got["parameters"]["reason"], "hard links")
    finally:
        for name in ("/root/porterd-test", "/tmp/porterd-test-linked", "/tmp/porterd-test-other"):
            pathlib.Path(name).unlink(missing_ok=True)


@test
def the_policy_may_be_linked_from_anywhere():
    real = pathlib.Path("/srv/porterd-test.conf")
    real.write_text(grant("key", "/etc/hostname", "AllowUser=root", "Deliver=copy"))
    policy("")
    try:
        pathlib.Path("/etc/porterd/files.conf.d/linked.conf").symlink_to(real)
        with client.Varlink() as varlink, varlink.open("key") as file:
            equal(file.read(), pathlib.Path("/etc/hostname").read_bytes())
    finally:
        real.unlink()


@test
def a_stopped_opener_leaves_no_view_behind():
    policy("")
    client.call("io.porterd.Files.List")
    systemctl("stop", "porterd-opener.service")
    equal(os.path.exists("/run/porterd-opener-root"), False, "its root directory")
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().replace("/opt/porterd-", "/opt/")
    equal([line for line in mounts.splitlines() if "porterd" in line.split()[4]], [], "mounts")
