#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python module against a service that does not keep to its interface, and what the wire may do."""

import errno
import time

from fixture import *

OPENED = b'{"parameters":{"descriptor":0}}'
FOUND = b'{"parameters":{"credentials":{"uid":1,"gid":2,"pid":3}}'  # without its last brace


def breaks(connection, number, function, *arguments):
    """The call breaks the connection with this errno, and calls after it find that so."""
    kind = porter.ConnectionError if number == errno.ECONNRESET else porter.ProtocolError
    equal(raises(kind, function, *arguments).errno, number, "errno")
    equal(raises(porter.ConnectionError, connection.whoami).errno, errno.ENOTCONN, "errno of the call after it")


# --- connecting ---

@test
def connection_errors_are_os_errors():
    equal(issubclass(porter.ProtocolError, porter.ConnectionError) and
          issubclass(porter.ConnectionError, (ConnectionError, OSError)), True)
    with no_leak(), Fake(kind=SEQPACKET) as fake, Fake() as gone:
        gone.listener.shutdown(socket.SHUT_RDWR)
        for path, number in ((fake.path + "x", errno.ENOENT), (gone.path, errno.ECONNREFUSED),
                             (fake.path, errno.EPROTOTYPE), ("/" + "x" * 107, errno.ENAMETOOLONG),
                             ("@" + "x" * 108, errno.ENAMETOOLONG), ("/" + "x" * 106, errno.ENOENT),
                             ("@" + "x" * 107, errno.ECONNREFUSED)):
            error = raises(porter.ConnectionError, porter.connect, path)
            equal((error.errno, error.filename), (number, path))
        for path in ("", "@", "/a\0b", "\0abstract"):
            raises(ValueError, porter.connect, path)


@test
def connecting_may_be_forbidden():
    with Fake() as fake:
        os.chmod(fake.path, 0o600)
        equal(as_user(4242, 4242, [], lambda: raises(porter.ConnectionError, porter.connect, fake.path).errno),
              errno.EACCES)


@test
def abstract_sockets_and_path_objects():
    import pathlib
    with no_leak(), Fake({LIST: reply({"files": []})}, path=f"@porter-test/{os.getpid()}") as fake:
        equal(porter.list(fake.path), [])
    with no_leak(), Fake({LIST: reply({"files": []})}) as fake:
        equal(porter.list(pathlib.Path(fake.path)), [])


@test
def the_connection_is_close_on_exec_and_waits():
    with no_leak(), Fake({LIST: lambda _: time.sleep(0.2) or ({"parameters": {"files": []}}, ())}) as fake:
        socket.setdefaulttimeout(0.05)
        try:
            before = set(os.listdir("/proc/self/fd"))
            with porter.connect(fake.path) as connection:
                equal([fd for fd in set(os.listdir("/proc/self/fd")) - before
                       if os.path.exists(f"/proc/self/fd/{fd}") and os.get_inheritable(int(fd))], [])
                equal(connection.list(), [])
            connection.close()
            equal(raises(porter.ConnectionError, connection.list).errno, errno.ENOTCONN)
        finally:
            socket.setdefaulttimeout(None)


@contextlib.contextmanager
def alarms(handler):
    """SIGALRM all the time, for the main thread alone: threads started before have it blocked."""
    previous = signal.signal(signal.SIGALRM, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@test
def signals_do_not_disturb_connecting():
    count = []
    with no_leak(), tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(directory, "s"))
        listener.listen(0)
        with connect(listener.getsockname()):
            def serve():
                time.sleep(0.3)
                listener.accept()[0].close()
                with listener.accept()[0] as client:
                    receive_request(client)
                    client.sendall(b'{"parameters":{"files":[]}}\0')
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with alarms(lambda *_: count.append(1)):
                equal(porter.list(listener.getsockname()), [])
            thread.join(PATIENCE)
    equal(len(count) > 2, True, f"signals: {len(count)}")


# --- a service that does not keep to its interface ---

BAD_OPENS = [
    (b'{"parameters":{"descriptor":1}}', 1), (b'{"parameters":{"descriptor":253}}', 1),
    (b'{"parameters":{"descriptor":-1}}', 1), (b'{"parameters":{"descriptor":4294967296}}', 1),
    (b'{"parameters":{"descriptor":0.0}}', 1), (b'{"parameters":{"descriptor":"0"}}', 1),
    (b'{"parameters":{"descriptor":false}}', 1), (b'{"parameters":{"descriptor":null}}', 1),
    (b'{"parameters":{"descriptor":[0]}}', 1), (b'{"parameters":{}}', 1), (b'{}', 0), (OPENED, 0), (OPENED, 2),
    (OPENED, 253), (b'{"parameters":{"descriptor":0},"continues":true}', 1),
    (b'{"parameters":{"descriptor":0},"continues":0}', 1), (b'{"parameters":{"descriptor":0,"descriptor":0}}', 1),
    (b'{"parameters":[0]}', 1), (b'{"parameters":"\\u0000"}', 1), (b'{"parameters":{"descriptor":0,"x":"\\u0000"}}', 1),
    (b'{"parameters":{"descriptor":0,"x":"\\ud800"}}', 1), (b'{"parameters":{"descriptor":0,"x":NaN}}', 1),
    (b'{"parameters":{"descriptor":0,"x":1e999}}', 1), (b'{"parameters":{"descriptor":0,"x":9223372036854775808}}', 1),
    (b'{"parameters":{"descriptor":0,"x":%s}}' % (b"9" * 900000), 1), (b"[" * 1000000, 1),
    (b'{"error":"io.porterd.Files.Busy"}', 1), (b'{"error":5}', 0), (b'{"error":false}', 0), (b'{"error":""}', 0),
    (b'{"error":"","parameters":{"descriptor":0}}', 1), (b'{"error":"a.b.C","continues":true}', 0), (b'{"error":"a.b.C","parameters":[]}', 0), (b'[]', 1), (b'null', 1),
    (b'', 1), (b'\xff\xfe garbage', 1), (b'\xef\xbb\xbf' + OPENED, 1), (OPENED + b' x', 1),
    # Two replies to one call, and a piece of a second.
    (OPENED + b'\0{}', 1), (OPENED + b'\0{', 1),
]


@test
def a_bad_answer_to_open_breaks_the_connection():
    for answer, count in BAD_OPENS:
        with no_leak(), script((answer + (b"" if b"\0{" in answer[-2:] else b"\0"), count)) as fake, \
                porter.connect(fake.path) as connection:
            try:
                breaks(connection, errno.EBADMSG, connection.open, "key")
            except Exception as error:
                raise AssertionError(f"{answer!r:.100} with {count} fds") from error


@test
def every_descriptor_is_named_once():
    for indexes in ('[0,0]', '[0,2]', '[0]', '[0,1,1]', '{"0":1}', '[1,"0"]', '[0,true]', '[]'):
        with no_leak(), script((b'{"parameters":{"descriptors":%s}}\0' % indexes.encode(), 2)) as fake, \
                porter.connect(fake.path) as connection:
            breaks(connection, errno.EBADMSG, connection.open_many, ["one", "two"])


BAD_ANSWERS = [
    '{}',
    '{"permitted":1,"reason":"","satisfied":1,"failed":[],"files":{},"credentials":[]}',
    '{"permitted":true,"reason":5,"satisfied":true,"failed":[5],"files":[5],"credentials":{"uid":-1,"gid":0,"pid":0}}',
    '{"permitted":true,"satisfied":true,"failed":"","files":[{"name":"a"}],"credentials":{"uid":4294967296,"gid":0,"pid":0}}',
    '{"permitted":null,"reason":"","satisfied":true,"files":[{"name":"a","access":"read","description":1}],'
    '"credentials":{"uid":0,"gid":0,"pid":0,"groups":[0,-1]}}',
    '{"permitted":"yes","reason":"","satisfied":[],"failed":[],"files":[null],'
    '"credentials":{"uid":0,"gid":0,"pid":0,"unit":5}}',
    '{"credentials":{"uid":0,"gid":0,"pid":2147483648}}', '{"credentials":{"uid":true,"gid":0,"pid":0}}',
]


@test
def bad_answers_break_the_connection():
    for answer in BAD_ANSWERS:
        for verb in ("check", "list", "whoami", "check_credentials"):
            with no_leak(), script(b'{"parameters":%s}\0' % answer.encode()) as fake, \
                    porter.connect(fake.path) as connection:
                breaks(connection, errno.EBADMSG, getattr(connection, verb), *(["key"] if verb == "check" else []))


@test
def descriptors_that_nobody_asked_for_break_the_connection():
    with no_leak(), script((FOUND + b"}\0", 1)) as fake, porter.connect(fake.path) as connection:
        breaks(connection, errno.EBADMSG, connection.whoami)
    with no_leak(), script((OPENED + b"\0", 1)) as fake, porter.connect(fake.path) as connection:
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        breaks(connection, errno.EBADMSG, connection.open, "key")


# --- the wire ---

@test
def split_replies_are_put_together():
    pieces = [bytes([byte]) for byte in OPENED + b"\0"]
    requests = []
    with no_leak(), script((pieces[0], 1), *pieces[1:], requests=requests) as fake, \
            porter.connect(fake.path) as connection:
        equal(read(connection.open("schlüssel")), b"content")
        equal(requests, ['{"method":"io.porterd.Files.Open","parameters":{"file":"schlüssel"}}'.encode()])


@test
def descriptors_in_the_middle_are_closed():
    for count in (0, 1):
        with no_leak(), script((OPENED[:14], count), (OPENED[14:] + b"\0", 1)) as fake, \
                porter.connect(fake.path) as connection:
            # What is sent early enough comes with the first piece, as far as anybody can tell.
            receive = porter._wire._receive_some
            porter._wire._receive_some = lambda sock, size, fds: receive(sock, min(size, 14), fds)
            try:
                breaks(connection, errno.EBADMSG, connection.open, "key")
            finally:
                porter._wire._receive_some = receive


@test
def a_reply_may_be_as_long_as_allowed():
    longest = FOUND + b" " * (porter.MESSAGE_MAX - len(FOUND) - 1) + b"}"
    with no_leak(), script(longest + b"\0") as fake, porter.connect(fake.path) as connection:
        equal(connection.whoami().pid, 3)
    with no_leak(), script(b" " + longest + b"\0") as fake, porter.connect(fake.path) as connection:
        breaks(connection, errno.EMSGSIZE, connection.whoami)


@test
def a_request_may_be_as_long_as_allowed():
    room = porter.MESSAGE_MAX - len('{"method":"a.b.C","parameters":{"x":""}}')
    with no_leak(), Fake({"a.b.C": lambda p: ({"parameters": {"size": len(p["x"])}}, ())}) as fake, \
            porter.connect(fake.path) as connection:
        raises(ValueError, connection.call, "a.b.C", {"x": "x" * (room + 1)})
        equal(connection.call("a.b.C", {"x": "x" * room}).parameters, {"size": room})


@test
def an_early_end_is_a_reset():
    for steps in ((), ((OPENED[:10], 1),), ((OPENED, 1),)):
        with no_leak(), script(*steps, stay=False) as fake, porter.connect(fake.path) as connection:
            breaks(connection, errno.ECONNRESET, connection.open, "key")
    # It left before it was asked; it left without a look at what it was asked.
    with no_leak(), Fake(serve=lambda client: None) as fake, porter.connect(fake.path) as connection:
        eventually(lambda: peer_is_gone(connection._socket), "the service has left")
        breaks(connection, errno.ECONNRESET, connection.open, "key")
    with no_leak(), Fake(serve=lambda client: client.recv(1, socket.MSG_PEEK)) as fake, \
            porter.connect(fake.path) as connection:
        breaks(connection, errno.ECONNRESET, connection.open, "key")


def peer_is_gone(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@test
def a_service_that_left_kills_nobody():
    with Fake(serve=lambda client: None) as fake:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            with porter.connect(fake.path) as connection:
                eventually(lambda: peer_is_gone(connection._socket), "the service has left")
                os._exit(7 if raises(porter.ConnectionError, connection.list).errno == errno.ECONNRESET else 8)
        equal(os.waitpid(child, 0)[1], 7 << 8, "status")


@test
def signals_do_not_disturb():
    count = []
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    with no_leak(), Fake({OPEN: lambda _: time.sleep(0.2) or ({"parameters": {"descriptor": 0}}, [b"content"])}) as fake, \
            porter.connect(fake.path) as connection, alarms(lambda *_: count.append(1)):
        equal(read(connection.open("key")), b"content")
    equal(len(count) > 2, True, f"signals: {len(count)}")


@test
def a_signal_that_raises_breaks_the_connection():
    class Interruption(BaseException):
        pass

    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interruption
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    with no_leak(), script((OPENED[:10], 2)) as fake, porter.connect(fake.path) as connection:
        with alarms(interrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            raises(Interruption, connection.open, "key")
        equal(raises(porter.ConnectionError, connection.open, "key").errno, errno.ENOTCONN)


@test
def descriptors_that_find_no_room_are_not_half_taken():
    ready, go = threading.Event(), threading.Event()

    def serve(client):
        fds = [make_file(b"content") for _ in range(3)]
        ready.set()
        go.wait(PATIENCE)
        send_fds(client, b'{"parameters":{"descriptors":[0,1,2]}}\0', fds)
        # They take their room in this process until the client has given up.
        while client.recv(65536):
            pass
        for fd in fds:
            os.close(fd)
    # The second cannot tell by their number.
    for verb, argument in (("open_many", ["one", "two", "three"]), ("call", "a.b.C")):
        ready.clear()
        go.clear()
        with no_leak(), Fake(serve=serve) as fake, porter.connect(fake.path) as connection:
            ready.wait(PATIENCE)
            lowest = os.dup(0)
            os.close(lowest)
            with so_many_descriptors(lowest + 2):
                go.set()
                error = raises(porter.ProtocolError, getattr(connection, verb), argument)
            equal(error.errno, errno.EBADMSG)
            equal(raises(porter.ConnectionError, connection.whoami).errno, errno.ENOTCONN)


main()
