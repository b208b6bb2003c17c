"""Files.Open and its relatives: who gets which file, and why not."""

import fcntl
import os
import socket

import client
from client import VarlinkError
from harness import (FILES, OWN_UNIT, client_in_unit, contains, equal, grant, in_unit, policy, raises, run,
                     secret, test)
from test_credentials import user

F_GET_SEALS = 1034


def refused(name):
    """The error that the tests' own unit gets."""
    with client.Varlink() as varlink:
        return raises(VarlinkError, varlink.open, name)


@test
def one_unit_is_allowed_and_another_of_the_same_user_refused():
    user("alice")
    policy(grant("key", secret("key", "the key"), "AllowUnit=porterd-test-allowed.service"))
    equal(client_in_unit("open", "key", unit="porterd-test-allowed", User="alice"), "the key")
    got = client_in_unit("open", "key", unit="porterd-test-other", User="alice", ok=False)
    equal(got["error"], "NotPermitted", "error")
    equal(got["parameters"]["file"], "key", "file")
    equal(bool(got["parameters"]["reason"]), True, "a reason")


@test
def every_kind_of_allow_must_match():
    user("alice")
    policy(grant("key", secret("key"), "AllowUnit=porterd-test-allowed.service",
                 "AllowUser=alice"))
    equal(client_in_unit("open", "key", unit="porterd-test-allowed", User="alice"), "secret\n")
    for options in ({"unit": "porterd-test-allowed"}, {"unit": "porterd-test-b", "User": "alice"}):
        got = client_in_unit("open", "key", ok=False, **options)
        equal(got["error"], "NotPermitted", str(options))


@test
def users_and_groups_by_name_and_number():
    uid, _ = user("alice")
    path = secret("key")
    policy(grant("by-name", path, "AllowUser=alice daemon") +
           grant("by-number", path, f"AllowUser={uid}") +
           grant("by-group", path, "AllowGroup=porters") +
           grant("other-group", path, "AllowGroup=daemon"))
    for name in ("by-name", "by-number", "by-group"):
        equal(client_in_unit("open", name, User="alice"), "secret\n", name)
        equal(refused(name).name, "NotPermitted", f"{name} as root")
    got = client_in_unit("open", "other-group", User="alice", ok=False)
    equal(got["error"], "NotPermitted")


@test
def list_and_check_say_what_open_would_do():
    path = secret("key")
    policy(grant("mine", path, "AllowUser=root", "Description=a test") +
           grant("theirs", path, "AllowUser=daemon"))
    files = client.call("io.porterd.Files.List")["files"]
    equal([(f["name"], f["description"], f["access"]) for f in files],
          [("mine", "a test", "read")])
    equal(client.call("io.porterd.Files.Check", {"file": "mine"})["permitted"], True)
    answer = client.call("io.porterd.Files.Check", {"file": "theirs"})
    equal((answer["permitted"], bool(answer["reason"])), (False, True))


@test
def a_name_that_no_section_has():
    policy(grant("key", secret("key"), "AllowUser=root"))
    error = refused("kex")
    equal((error.name, error.parameters["file"]), ("UnknownFile", "kex"))


@test
def a_file_that_is_missing():
    policy(grant("gone", FILES / "gone", "AllowUser=root"))
    equal(refused("gone").name, "FileMissing")


@test
def something_else_in_the_files_place():
    FILES.mkdir(mode=0o755)
    os.mkfifo(FILES / "fifo", 0o600)
    (FILES / "directory").mkdir()
    policy(grant("fifo", FILES / "fifo", "AllowUser=root") +
           grant("directory", FILES / "directory", "AllowUser=root"))
    for name in ("fifo", "directory"):
        equal(refused(name).name, "WrongType", name)


@test
def links_are_followed_only_within():
    secret("key", "by link")
    secret("outside")
    (FILES / "live").mkdir()
    (FILES / "live/key").symlink_to("../key")
    (FILES / "live/out").symlink_to("/etc/hostname")
    policy(grant("plain", FILES / "live/key", "AllowUser=root") +
           grant("within", FILES / "live/key", f"Within={FILES}", "AllowUser=root") +
           grant("beyond", FILES / "live/out", f"Within={FILES}", "AllowUser=root"))
    with client.Varlink() as varlink, varlink.open("within") as file:
        equal(file.read(), b"by link")
    for name in ("plain", "beyond"):
        equal(refused(name).name, "NotPermitted", name)


@test
def a_read_grant_does_not_become_write_access():
    # A directory keeps everybody out, or the unit's mounts do; the file's mode alone would not.
    FILES.mkdir(mode=0o755)
    (FILES / "closed").mkdir(mode=0o700)
    path = secret("closed/file", "content", mode=0o666)
    policy(grant("open-mode", path, "AllowUser=daemon") +
           grant("copied", path, "AllowUser=daemon", "Deliver=copy"))
    got = client_in_unit("open", "open-mode", User="daemon", ok=False)
    equal(got["error"], "UnsafeMode")
    (FILES / "closed").chmod(0o755)
    got = client_in_unit("open", "open-mode", User="daemon", ReadOnlyPaths=FILES, ok=False)
    equal(got["error"], "UnsafeMode")
    equal(client_in_unit("open", "copied", User="daemon"), "content")


@test
def a_copy_is_sealed_and_stays_as_it_was():
    path = secret("key", "before")
    policy(grant("key", path, "AllowUser=root", "Deliver=copy"))
    with client.Varlink() as varlink, varlink.open("key") as file:
        seals = fcntl.fcntl(file.fileno(), F_GET_SEALS)
        equal(seals & 0xe, 0xe, "seals against shrinking, growing and writing")
        path.write_text("after it")
        equal(file.read(), b"before")


@test
def writing_and_appending():
    path = secret("log", "first\n")
    policy(grant("append", path, "AllowUser=daemon", "Access=append") +
           grant("write", path, "AllowUser=root", "Access=write"))
    in_unit("porterctl", "exec", "append", "--", "sh", "-c", "echo second >&3", User="daemon")
    equal(path.read_text(), "first\nsecond\n")
    with client.Varlink() as varlink:
        index = varlink.call("io.porterd.Files.Open", {"file": "write"})["descriptor"]
        os.pwrite(varlink.fds[index], b"FIRST", 0)
        raises(OSError, os.read, varlink.fds[index], 1)
    equal(path.read_text(), "FIRST\nsecond\n")


@test
def a_file_is_created_with_its_mode():
    FILES.mkdir(mode=0o755)
    path = FILES / "new"
    policy(grant("new", path, "AllowUser=daemon", "Access=append", "Create=yes", "Mode=0640"))
    in_unit("porterctl", "exec", "new", "--", "sh", "-c", "echo text >&3", User="daemon")
    status = path.stat()
    equal((status.st_uid, oct(status.st_mode & 0o7777), path.read_text()), (0, "0o640", "text\n"))


@test
def other_peoples_files_and_directories():
    # What CAP_DAC_OVERRIDE is for.
    uid, gid = user("alice")
    secret("private", "of alice")
    (FILES / "home").mkdir(mode=0o700)
    (FILES / "private").rename(FILES / "home/private")
    for path in (FILES / "home/private", FILES / "home"):
        os.chown(path, uid, gid)
    policy(grant("private", FILES / "home/private", "AllowUser=daemon"))
    equal(client_in_unit("open", "private", User="daemon"), "of alice")


@test
def a_device():
    policy(grant("zero", "/dev/zero", "AllowUser=daemon", "Type=device", "Access=read-write") +
           grant("plain", "/dev/zero", "AllowUser=root"))
    got = in_unit("porterctl", "exec", "zero", "--", "head", "-c", "3", "/proc/self/fd/3",
                  User="daemon").stdout
    equal(got, "\0\0\0")
    equal(refused("plain").name, "WrongType")


@test
def a_socket_is_connected():
    FILES.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(FILES / "socket"))
        (FILES / "socket").chmod(0o600)
        listener.listen()
        policy(grant("socket", FILES / "socket", "AllowUser=daemon", "Type=socket"))
        in_unit("porterctl", "exec", "socket", "--", "sh", "-c", "echo hello >&3", User="daemon")
        listener.settimeout(10)
        connection, _ = listener.accept()
        with connection:
            equal(connection.recv(100), b"hello\n")


@test
def many_files_come_together_or_not_at_all():
    names = [f"file{number}" for number in range(5)]
    policy("".join(grant(name, secret(name, name), "AllowUser=root") for name in names) +
           grant("theirs", secret("theirs"), "AllowUser=daemon"))
    with client.Varlink() as varlink:
        indexes = varlink.call("io.porterd.Files.OpenMany", {"files": names})["descriptors"]
        equal([os.read(varlink.fds[i], 100).decode() for i in indexes], names)
    with client.Varlink() as varlink:
        error = raises(VarlinkError, varlink.call, "io.porterd.Files.OpenMany",
                       {"files": [*names, "theirs"]})
        equal((error.name, error.parameters["file"], varlink.fds), ("NotPermitted", "theirs", []))
        equal(raises(VarlinkError, varlink.call, "io.porterd.Files.OpenMany",
                     {"files": ["file0"] * 254}).name, "TooManyFiles")


@test
def isolated_clients_get_files_too():
    run("systemctl", "start", "porterd-isolated.socket")
    policy(grant("key", secret("key"), "AllowUser=root", f"AllowUnit={OWN_UNIT}"))
    with client.Varlink(client.ISOLATED) as varlink, varlink.open("key") as file:
        equal(file.read(), b"secret\n")


@test
def without_the_opener_the_answer_is_a_clear_error():
    policy(grant("key", secret("key"), "AllowUser=root"))
    run("systemctl", "stop", "porterd-opener.socket", "porterd-opener.service")
    equal(refused("key").name, "OpenerUnavailable")


@test
def the_openers_socket_is_closed_to_others():
    said = run("setpriv", "--reuid=nobody", "--clear-groups", "python3", "-c", """
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/porterd-opener/opener")
""", ok=False).stderr
    contains(said, "PermissionError")
