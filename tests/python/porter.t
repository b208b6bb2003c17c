#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The verbs of the Python module: against a service that answers by table, and against the real one."""

import errno
import gc
import glob
import io
import pickle
import re
import subprocess
import warnings

from fixture import *


@test
def open_gives_a_descriptor_that_is_owned():
    with no_leak(), Fake({OPEN: reply({"descriptor": 0}, b"secret")}) as fake, \
            porter.connect(fake.path) as connection:
        with connection.open("key") as key:
            equal(fake.requests, [{"method": OPEN, "parameters": {"file": "key"}}])
            equal((key.name, key.closed), ("key", False))
            equal(os.get_inheritable(key.fileno()), False, "inheritable")
            equal(os.read(key.fileno(), 100), b"secret")
        equal(key.closed, True)
        raises(ValueError, key.fileno)
        raises(ValueError, key.detach)
        key.close()

        fd = connection.open("key").detach()
        equal(os.read(fd, 100), b"secret")
        os.close(fd)


@test
def a_descriptor_becomes_a_file():
    with no_leak(), Fake({OPEN: reply({"descriptor": 0}, "zwölf\n".encode())}) as fake, \
            porter.connect(fake.path) as connection:
        with connection.open("key") as key, key.to_file(encoding="utf-8") as file:
            equal((key.closed, file.name, file.read()), (True, "key", "zwölf\n"))
        with connection.open("key").to_file("r+b") as file:
            file.write(b"Z")
            file.seek(0)
            equal(file.read(), "Zwölf\n".encode())

        # Where it fails before the file object has the descriptor, and after.
        with connection.open("key") as key:
            raises(ValueError, key.to_file, "nonsense")
            equal(key.closed, False)
        raises(LookupError, connection.open("key").to_file, encoding="no-such-encoding")


@test
def a_directory_or_a_socket_is_no_file():
    def directory():
        return os.open("/", os.O_RDONLY)

    def connected():
        ends = socket.socketpair()
        ends[1].sendall(b"hello")
        ends[1].close()
        return ends[0].detach()
    with no_leak(), Fake({OPEN: lambda p: ({"parameters": {"descriptor": 0}},
                                           [directory if p["file"] == "directory" else connected])}) as fake, \
            porter.connect(fake.path) as connection:
        raises(IsADirectoryError, connection.open("directory").to_file)
        with socket.socket(fileno=connection.open("socket").detach()) as sock:
            equal((sock.family, sock.recv(100)), (socket.AF_UNIX, b"hello"))


@test
def a_forgotten_descriptor_is_closed_with_a_warning():
    with no_leak(), Fake({OPEN: reply({"descriptor": 0}, b"secret")}) as fake, \
            warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        porter.open("key", fake.path)
        gc.collect()
        equal([w.category for w in caught], [ResourceWarning])
        equal("porter.Descriptor 'key'" in str(caught[0].message), True)


@test
def open_many_keeps_the_order():
    names = [f"file{i}" for i in range(porter.FILES_MAX)]
    with no_leak(), Fake({OPEN_MANY: open_many}) as fake, porter.connect(fake.path) as connection:
        with connection.open_many(name for name in names) as descriptors:
            equal(fake.requests, [{"method": OPEN_MANY, "parameters": {"files": names}}])
            equal([d.name for d in descriptors], names)
            equal(any(os.get_inheritable(d.fileno()) for d in descriptors), False, "inheritable")
            equal([os.pread(d.fileno(), 100, 0).decode() for d in descriptors], [f"content of {n}" for n in names])
            first = descriptors[0].detach()
        equal([d.closed for d in descriptors], [True] * len(names))
        os.close(first)


@test
def check_says_why():
    answers = [{"permitted": True, "reason": "AllowUser=me"}, {"permitted": False, "reason": "no entry", "new": 1}]
    with no_leak(), Fake({CHECK: lambda _: ({"parameters": answers.pop(0)}, ())}) as fake, \
            porter.connect(fake.path) as connection:
        permitted, reason = connection.check("key")
        equal((permitted, reason), (True, "AllowUser=me"))
        verdict = connection.check("other")
        equal((verdict.permitted, verdict.reason, bool(verdict)), (False, "no entry", False))
        equal(fake.requests[1], {"method": CHECK, "parameters": {"file": "other"}})


@test
def list_whoami_and_check_credentials():
    full = {"uid": 4294967295, "gid": 2, "pid": 2147483647, "groups": [3, 4], "unit": "a.service",
            "invocationId": "0f", "securityLabel": "label", "new": {}}
    least = {"uid": 0, "gid": 0, "pid": 0, "groups": None, "unit": None}
    credentials = [full, least]
    with no_leak(), Fake({
            LIST: reply({"files": [{"name": "a", "description": "A", "access": "read", "new": 1},
                                   {"name": "b", "description": None, "access": "append"}]}),
            GET: lambda _: ({"parameters": {"credentials": credentials.pop(0)}}, ()),
            "io.porterd.Credentials.Check": lambda p: ({"parameters": {"satisfied": not p, "failed": list(p)}}, ()),
            }) as fake, porter.connect(fake.path) as connection:
        equal(connection.list(), [porter.File("a", "A", "read"), porter.File("b", None, "append")])
        equal(connection.whoami(), porter.Credentials(4294967295, 2, 2147483647, (3, 4), "a.service", "0f", "label"))
        equal(connection.whoami(), porter.Credentials(0, 0, 0, None, None, None, None))
        equal(bool(connection.check_credentials()), True)
        equal(fake.requests[-1]["parameters"], {})
        verdict = connection.check_credentials(users=("root",), units=[])
        equal((verdict.satisfied, verdict.failed, bool(verdict)), (False, ("users", "units"), False))
        equal(fake.requests[-1]["parameters"], {"users": ["root"], "units": []})


@test
def call_takes_any_method():
    with no_leak(), Fake({"a.b.C": lambda p: ({"parameters": p}, [b"one", b"two"]),
                          "a.b.Nothing": lambda _: ({}, ())}) as fake, porter.connect(fake.path) as connection:
        given = {"text": "zwölf \\u0000", "list": [1, 2.5, None, True]}
        parameters, descriptors = connection.call("a.b.C", given)
        equal(parameters, given)
        equal([read(d) for d in descriptors], [b"one", b"two"])
        equal(connection.call("a.b.Nothing"), ({}, ()))


@test
def shortcuts_connect_for_one_call():
    with no_leak(), Fake({
            OPEN: reply({"descriptor": 0}, b"secret"), OPEN_MANY: open_many, LIST: reply({"files": []}),
            CHECK: reply({"permitted": True, "reason": ""}),
            GET: reply({"credentials": {"uid": 1, "gid": 2, "pid": 3}}),
            "io.porterd.Credentials.Check": reply({"satisfied": True, "failed": []})}) as fake:
        path = fake.path
        equal(read(porter.open("key", path)), b"secret")
        equal([read(d) for d in porter.open_many(["a", "b"], path)], [b"content of a", b"content of b"])
        equal(porter.check("key", path=path).permitted, True)
        equal((porter.list(path), porter.whoami(path).gid), ([], 2))
        equal(porter.check_credentials(units=["a.service"], path=path), (True, ()))
        equal(fake.requests[-1]["parameters"], {"units": ["a.service"]})
        equal(porter.call(CHECK, {"file": "a"}, path).parameters, {"permitted": True, "reason": ""})


@test
def every_error_of_the_interfaces_has_a_class():
    names = []
    for path in glob.glob(os.path.join(SOURCE, "src", "**", "*.varlink"), recursive=True):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        interface = re.search(r"^interface (\S+)", text, re.MULTILINE).group(1)
        names += [f"{interface}.{name}" for name in re.findall(r"^error (\w+)", text, re.MULTILINE)]
    equal(len(names) > 10, True, f"errors: {names}")
    with no_leak(), Fake({OPEN: lambda p: ({"error": p["file"], "parameters": p}, ())}) as fake, \
            porter.connect(fake.path) as connection:
        for name in names:
            kind = getattr(porter, name.rsplit(".", 1)[1])
            equal(kind.__mro__[1], porter.Error, name)
            equal(kind.__name__ in porter.__all__, True, name)
            error = raises(kind, connection.open, name)
            equal((error.name, error.parameters, error.file, error.reason), (name, {"file": name}, name, None))


@test
def an_error_tells_all_and_keeps_the_connection():
    answers = [{"error": "io.porterd.Files.NotPermitted", "parameters": {"file": "key", "reason": "no entry", "x": 1}},
               {"error": "a.b.C", "parameters": {"file": 5}},
               {"error": "a.b.NotPermitted"},
               {"parameters": {"files": []}, "error": None, "continues": None}]
    with no_leak(), Fake({LIST: lambda _: (answers.pop(0), ())}) as fake, porter.connect(fake.path) as connection:
        error = raises(porter.NotPermitted, connection.list)
        equal((error.file, error.reason, error.parameters["x"]), ("key", "no entry", 1))
        equal(str(error), "key: no entry: io.porterd.Files.NotPermitted")
        copy = pickle.loads(pickle.dumps(error))
        equal((type(copy), copy.name, copy.parameters), (porter.NotPermitted, error.name, error.parameters))
        error = raises(porter.Error, connection.list)
        equal((error.name, error.file, error.reason, error.parameters), ("a.b.C", None, None, {"file": 5}))
        equal(raises(porter.Error, connection.list).parameters, {})
        equal(connection.list(), [])


@test
def wrong_arguments_are_not_sent():
    with no_leak(), Fake({LIST: reply({"files": []})}) as fake, porter.connect(fake.path) as connection:
        for name in ("", "a\0b", "\ud800"):
            for verb in (connection.open, connection.check, lambda n: connection.open_many(["a", n])):
                equal(isinstance(raises(UnicodeEncodeError if name > "z" else ValueError, verb, name), ValueError), True)
        for name in (None, b"key", 5):
            for verb in (connection.open, connection.check, lambda n: connection.open_many([n]),
                         lambda n: connection.check_credentials([n]), lambda n: connection.call(n)):
                raises(TypeError, verb, name)
        raises(TypeError, connection.open_many, "key")
        raises(TypeError, connection.check_credentials, "root")
        raises(ValueError, connection.open_many, [])
        raises(ValueError, connection.open_many, ["a"] * (porter.FILES_MAX + 1))
        raises(ValueError, connection.call, "")
        raises(ValueError, connection.call, LIST, {"a": float("nan")})
        raises(ValueError, connection.call, LIST, {"a": "\\\0"})
        raises(TypeError, connection.call, LIST, ["a"])
        raises(TypeError, connection.call, LIST, {"a": object()})
        equal(connection.list(), [], "the connection")
        equal(len(fake.requests), 1, "requests")


# --- the real service ---


@contextlib.contextmanager
def service():
    """porterd and the opener; gives porterd's socket and the directory of the files."""
    with World(POLICY) as world:
        world.file("key", "secret")
        world.file("other", "theirs")
        yield world.porterd.path, world.directory


@test
def files_from_the_real_service():
    with service() as (path, directory), no_leak(), porter.connect(path) as connection:
        equal(read(connection.open("key")), b"secret")
        with connection.open("log").to_file("a") as log:
            log.write("one\n")
        with open(os.path.join(directory, "log"), encoding="utf-8") as log:
            equal(log.read(), "one\n")
        with connection.open_many(["log", "key", "key"]) as (log, first, second):
            equal([os.pread(fd.fileno(), 9, 0) for fd in (first, second)], [b"secret"] * 2)
            raises(io.UnsupportedOperation, first.to_file("r").write, "x")
            raises(OSError, os.read, log.fileno(), 1)

        for name, kind in (("nonsense", porter.UnknownFile), ("gone", porter.FileMissing),
                           ("directory", porter.WrongType), ("other", porter.NotPermitted)):
            equal(raises(kind, connection.open, name).file, name)
        equal(raises(porter.FileMissing, connection.open_many, ["key", "gone"]).file, "gone")
        equal(bool(raises(porter.NotPermitted, connection.open, "other").reason), True, "a reason")

        equal({f.name: (f.description, f.access) for f in connection.list()}["key"], ("A key", "read-write"))
        equal([connection.check(name).permitted for name in ("key", "other", "gone")], [True, False, False])
        raises(porter.UnknownFile, connection.check, "nonsense")


@test
def credentials_from_the_real_service():
    with service() as (path, _), no_leak(), porter.connect(path) as connection:
        who = connection.whoami()
        equal((who.uid, who.gid, who.pid), (ME, os.getegid(), os.getpid()))
        equal(set(os.getgroups()) - {who.gid}, set(who.groups) - {who.gid})
        equal(connection.check_credentials(users=[str(ME)]), (True, ()))
        equal(connection.check_credentials([str(ME)], ["4242"], ["no.service"]), (False, ("groups", "units")))
        equal(raises(porter.InvalidParameter, connection.call, LIST, {"x": 1}).parameters["parameter"], "x")
        raises(porter.MethodNotFound, connection.call, "io.porterd.Files.Nonsense")
        raises(porter.InterfaceNotFound, connection.call, "io.nobody.Nonsense")
        equal("io.porterd.Files" in connection.call("org.varlink.service.GetInfo").parameters["interfaces"], True)


@test
def another_user_is_judged_as_himself():
    with service() as (path, _):
        def ask():
            with porter.connect(path) as connection:
                raises(porter.NotPermitted, connection.open, "key")
                return [connection.whoami().uid, read(connection.open("other")).decode()]
        equal(as_user(4242, 4242, [], ask), [4242, "theirs"])


@test
def another_program_inherits_what_it_is_given():
    with service() as (path, _), no_leak(), porter.open("key", path) as key:
        done = subprocess.run(["cat", f"/proc/self/fd/{key.fileno()}"], pass_fds=[key.fileno()],
                              stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
        equal(done.stdout, b"secret")


@test
def verbs_and_errors_are_those_of_the_library():
    def source(path):
        with open(os.path.join(SOURCE, "src", path), encoding="utf-8") as file:
            return file.read()

    verbs = set(re.findall(r"^int porter_(\w+)\(", source("libporter/porter.h"), re.MULTILINE))
    equal(len(verbs) > 5, True, "verbs are found in porter.h")
    for verb in verbs:
        equal(callable(getattr(porter, verb, None)), True, f"porter.{verb}")
        equal(verb == "connect" or callable(getattr(porter.Connection, verb, None)), True, f"porter.Connection.{verb}")
    for path in ("services/io.porterd.Files", "services/io.porterd.Credentials", "varlink/org.varlink.service"):
        for error in re.findall(r"^error (\w+)", source(f"{path}.varlink"), re.MULTILINE):
            equal(issubclass(getattr(porter, error, type(None)), porter.Error), True, f"porter.{error}")


main()
