#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What one user may have of porterd at a time, and that others find something left. Root can connect in the name of
several users; anybody else is one user only."""

import contextlib
import fcntl
import resource
import struct
import termios

from world import *

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system", "inside"))

import flood as floods  # noqa: E402
from client import acting_as  # noqa: E402

A, B, C, D = 4242, 4243, 4244, 4245
# One user, and where we can be several, another.
USER, OTHER = (A, B) if ME == 0 else (ME, None)
OPEN_ONE = b'{"method":"io.porterd.Files.Open","parameters":{"file":"x"}}\0'
BUSY = {"error": "io.porterd.Files.Busy"}


def only_root():
    if ME != 0:
        raise Skip("only root can become somebody else")


def configured(lines, **options):
    return Configured({"porterd.conf": "[Server]\n" + lines}, **options)


def connect_as(program, uid):
    """The kernel remembers who connected."""
    with acting_as(uid):
        return program.connect()


def is_served(client):
    """False: it was closed before it was served."""
    try:
        client.sendall(b"x")
        return client.recv(1) == b"x"
    except (BrokenPipeError, ConnectionResetError):
        return False


def served(program, uid, count):
    """Those of `count` new connections that are served."""
    clients = [connect_as(program, uid) for _ in range(count)]
    kept = [client for client in clients if is_served(client)]
    for client in clients:
        if client not in kept:
            client.close()
    return kept


def close_all(clients):
    for client in clients:
        client.close()


@test
def one_user_has_so_many_connections_and_no_more():
    with configured("ConnectionsMax=40\nUserConnectionsMax=5\n") as program:
        for _ in range(3):
            mine = served(program, USER, 10)
            equal(len(mine), 5, "connections of one user")
            equal(len(served(program, USER, 3)), 0, "while there are as many as may be")
            mine.pop().close()
            mine += eventually(lambda: served(program, USER, 1), "one more when one has left")
            equal(len(served(program, USER, 1)), 0, "and not another")
            close_all(mine)
            eventually(lambda: program.fds() < 10, "it has noticed that they left")
        equal(program.log().count("User "), 1, "records about it, in ten seconds")
        equal(f"User {USER} has as much as one user may have: 5 connections" in program.log(), True, program.log())


@test
def others_are_served_and_root_is_not_limited():
    only_root()
    with configured("ConnectionsMax=40\nUserConnectionsMax=5\n") as program:
        # Those who came before anybody counted are counted, too.
        first = served(program, A, 2) + served(program, B, 1)
        mine = served(program, A, 10)
        equal(len(mine), 3, "what A may have besides")
        others = served(program, B, 10)
        equal(len(others), 4, "what B may have besides")
        roots = served(program, 0, 20)
        equal(len(roots), 20, "connections of root")
        close_all(first + mine + others + roots)


@test
def nobody_has_more_than_is_left():
    """However many users there are, the next one finds something."""
    only_root()
    with configured("ConnectionsMax=60\nUserConnectionsMax=40\n") as program:
        clients = [served(program, uid, 60) for uid in (A, B, C, D)]
        equal([len(some) for some in clients], [30, 15, 8, 4])
        for some in clients:
            close_all(some)


@test
def whoever_may_have_all_has_all():
    with configured("ConnectionsMax=12\nUserConnectionsMax=12\n") as program:
        clients = served(program, USER, 12)
        equal(len(clients), 12)
        close_all(clients)
    # It stays so when porterd counts for another reason.
    with configured(f"ConnectionsMax=12\nUserConnectionsMax=12\nUserBytesMax={1 << 20}\n", name="varlink") as program:
        clients = [connect_as(program, USER) for _ in range(2)]
        equal([half_call(client, 600000) for client in clients], [True, False])
        clients += [connect_as(program, USER) for _ in range(11)]
        for client in clients[2:]:
            equal("parameters" in Varlink(client).call("io.porterd.Credentials.Check"), True)
        close_all(clients)


@test
def one_user_has_a_quarter_of_all():
    with configured("ConnectionsMax=40\n") as program:
        clients = served(program, USER, 40)
        equal(len(clients), 10)
        close_all(clients)


def unread(client):
    """Bytes of what was sent that lie before the other end."""
    return struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))[0]


def half_call(client, size):
    """Most of a call whose end is to come; False where porterd closes the connection."""
    data = b'{"method":"io.porterd.Credentials.Check","parameters":{"users":["' + b"x" * size
    try:
        client.sendall(data)
        eventually(lambda: unread(client) == 0, "it was received, or nobody will")
        # What is received last may be what is too much.
        return not select.select([client], [], [], 0.3)[0] or client.recv(1) != b""
    except (BrokenPipeError, ConnectionResetError):
        return False


@test
def one_user_leaves_so_many_bytes_with_it():
    with configured(f"UserBytesMax={1 << 20}\n", name="varlink") as program:
        first, second, third = (connect_as(program, USER) for _ in range(3))
        equal(half_call(first, 600000), True, "one that is within the limit")
        equal(half_call(second, 600000), False, "another, with which it is too much")
        if OTHER:
            with connect_as(program, OTHER) as client:
                equal(half_call(client, 600000), True, "another user's")
        # The rest comes, and what it took is free again.
        first.sendall(b'"]}}\0')
        equal(Varlink(first).receive()["parameters"]["satisfied"], False)
        equal(half_call(third, 600000), True, "one after that")
        close_all([first, second, third])
        equal("bytes waiting" in program.log(), True, program.log())


@test
def unread_bytes_of_an_echo_count():
    """Small pieces, which are copied: what is spliced waits in a pipe."""
    piece = b"x" * 32000

    def is_taken(client, seconds):
        end = time.monotonic() + seconds
        client.sendall(piece)
        while unread(client) > 0 and time.monotonic() < end:
            time.sleep(0.001)
        return unread(client) == 0

    with configured(f"UserBytesMax={1 << 20}\n") as program:
        program.wake()
        first, *others = (connect_as(program, USER) for _ in range(40))
        count = 0
        while is_taken(first, 0.5):
            count += 1
        # The last one that was taken is with porterd, as there was no room for it in the kernel.
        for client in others:
            for _ in range(count):
                equal(is_taken(client, PATIENCE), True, "a piece is taken")
        time.sleep(0.3)
        hung_up = select.poll()
        for client in others:
            hung_up.register(client, 0)
        equal(1 + len(others) - len(hung_up.poll(0)), (1 << 20) // len(piece), "clients that read nothing")
        close_all([first, *others])
        equal("bytes waiting" in program.log(), True, program.log())


@test
def unread_packets_count():
    with configured(f"UserBytesMax={1 << 20}\n", kind=SEQPACKET) as program:
        program.wake()
        clients = [connect_as(program, USER) for _ in range(16)]
        kept = sum(fill(client, b"x" * 150000) for client in clients)
        # Each leaves one packet with porterd, besides what the kernel holds.
        equal(kept, (1 << 20) // 150000, "clients that read nothing")
        close_all(clients)


@contextlib.contextmanager
def opener_of_ours(limit):
    """porterd, and the socket of its opener, from which nothing comes unless a test sends it."""
    directory = tempfile.mkdtemp(prefix="porterd-quota-")
    with socket.socket(socket.AF_UNIX, SEQPACKET) as opener:
        opener.settimeout(PATIENCE)
        opener.bind(os.path.join(directory, "opener"))
        opener.listen()
        with configured(f"UserOpensMax={limit}\n", name="varlink", arguments=[f"--opener={directory}/opener"]) as program:
            program.wake()
            yield program, opener
    shutil.rmtree(directory)


@test
def one_user_asks_for_so_many_files_at_a_time():
    with opener_of_ours(3) as (program, _):
        def waiting(uid, count):
            """Those that wait for an answer; the others were told Busy."""
            clients = [connect_as(program, uid) for _ in range(count)]
            for client in clients:
                client.sendall(OPEN_ONE)
            for client in clients:
                eventually(lambda one=client: unread(one) == 0, "it was received")
            # Whoever asked the last may still be on the way to an answer.
            time.sleep(0.3)
            told = select.select(clients, [], [], 0)[0]
            for client in told:
                equal(Varlink(client).receive(), BUSY)
            return [client for client in clients if client not in told]
        mine = waiting(USER, 6)
        equal(len(mine), 3, "what one user waits for")
        if OTHER:
            others = waiting(OTHER, 2)
            equal(len(others), 2, "what another waits for")
            close_all(others)
        close_all(mine)
        mine = waiting(USER, 4)
        equal(len(mine), 3, "when they have left")
        equal("files asked for" in program.log(), True, program.log())
        close_all(mine)


def answered_busy(client, expected):
    """Or it waits for the opener, of which nothing comes: what is not expected has half a second."""
    if not select.select([client], [], [], PATIENCE if expected else 0.5)[0]:
        return False
    equal(Varlink(client).receive(), BUSY)
    return True


@test
def each_file_of_a_request_counts():
    for limit, expected in (
            # Two fit, and a third does not.
            (600, [False, False, True]),
            # One is more than a user may have, and still each has a turn.
            (3, [False, True, True])):
        # So that as many descriptors may be under way.
        with so_many_descriptors(16384), opener_of_ours(limit) as (program, _):
            clients = [connect_as(program, USER) for _ in expected]
            busy = []
            for client, busily in zip(clients, expected):
                ask_for_many(client)
                busy.append(answered_busy(client, busily))
            equal(busy, expected, f"253 files each, with UserOpensMax={limit}")
            if OTHER:
                with connect_as(program, OTHER) as client:
                    ask_for_many(client)
                    equal(answered_busy(client, False), False, "another user")
            close_all(clients)


@test
def what_was_answered_counts_no_more():
    with opener_of_ours(2) as (program, opener), connect_as(program, USER) as client:
        for _ in range(5):
            client.sendall(OPEN_ONE)
            asked, _ = opener.accept()
            # Before there is a question, nothing counts.
            equal(len(asked.recv(65536)) > 0, True, "a question")
            asked.close()
            equal(Varlink(client).receive(), {"error": "io.porterd.Files.OpenerUnavailable"})


def ask_for_many(client):
    client.sendall(b'{"method":"io.porterd.Files.OpenMany","parameters":{"files":[%s]}}\0' % b",".join([b'"a"'] * 253))


def answer_left_unread(client):
    return client.recv(65536, socket.MSG_PEEK)


def gets_many(program, uid):
    with connect_as(program, uid) as client:
        ask_for_many(client)
        return b"descriptors" in client.recv(65536)


@test
def descriptors_that_nobody_reads_count():
    """A quarter of a quarter of 4,096 is one user's: the kernel counts them all for porterd, until they are read."""
    policy = f"[a]\nPath={{d}}/a\nAccess=read-write\nAllowUser={A} {B} {{me}}\n"
    with so_many_descriptors(4096):
        world = World(policy)
    with world:
        world.file("a")
        first = connect_as(world.porterd, USER)
        ask_for_many(first)
        equal(b"descriptors" in answer_left_unread(first), True, "what one user may leave unread")
        equal(gets_many(world.porterd, USER), False, "more than that")
        if OTHER:
            equal(gets_many(world.porterd, OTHER), True, "another user's")
        equal("descriptors not read" in world.porterd.log(), True, world.porterd.log())

        # It reads: then it may have more.
        first.recv(65536)
        eventually(lambda: gets_many(world.porterd, USER), "more when they have been read")

        # A connection that ends does not make them read.
        ask_for_many(first)
        equal(b"descriptors" in answer_left_unread(first), True, "unread again")
        first.sendall(b"nonsense\0")
        hung_up = select.poll()
        hung_up.register(first, 0)
        equal(hung_up.poll(PATIENCE * 1000), [(first.fileno(), select.POLLHUP)], "porterd has closed it")
        equal(gets_many(world.porterd, USER), False, "more, while the ones before are unread")
        equal(b"descriptors" in first.recv(65536), True, "they are still there")
        equal(first.recv(1), b"", "and then the end")
        eventually(lambda: gets_many(world.porterd, USER), "more when they have been read")
        first.close()

        # One who leaves has taken all that it ever will.
        with connect_as(world.porterd, USER) as second:
            ask_for_many(second)
            equal(b"descriptors" in answer_left_unread(second), True, "unread once more")
            second.sendall(b"nonsense\0")
        eventually(lambda: gets_many(world.porterd, USER), "more when its client has left")
        eventually(lambda: world.porterd.fds() < 10, "nothing is kept of them")


@test
def one_request_leaves_others_room_in_each_worker():
    """A quarter of what a worker may have would be less than one request can ask for; all of it would be no more."""
    only_root()
    with so_many_descriptors(2048):
        world = World(f"[a]\nPath={{d}}/a\nAccess=read-write\nAllowUser={A} {B}\n", settings="Workers=2\n")
    with world:
        world.file("a")
        clients, unread = [], 0
        # Until each of the two workers has got one that it answered.
        while unread < 2 and len(clients) < 200:
            clients.append(connect_as(world.porterd, A))
            ask_for_many(clients[-1])
            unread += b"descriptors" in answer_left_unread(clients[-1])
        equal(unread, 2, "workers with an answer that is not read")
        equal(gets_many(world.porterd, A), False, "more than that")
        for _ in range(20):
            equal(gets_many(world.porterd, B), True, "another user's")
        for client in clients:
            client.close()


def flood(sends):
    only_root()
    most = max(floods.FLOOD + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    with so_many_descriptors(most), Configured({}) as program:
        _, kept = floods.in_floods(
            lambda: floods.Flood(program.path, A, sends, int(3 * PATIENCE)),
            lambda: floods.p99(lambda: connect_as(program, B), 500 if WRAPPER else 2000),
            lambda: eventually(lambda: program.fds() < 10, "the flood is over"))
        equal(kept, {1024}, f"of {floods.FLOOD} connections")


@test
def connections_that_send_nothing_leave_others_served():
    flood(False)


@test
def connections_that_send_a_byte_a_second_leave_others_served():
    flood(True)


main()
