"""A thousand clients at once: all are served, and no socket unit fails."""

import os
import resource
import selectors
import socket
import time

import client
from harness import SOCKETS, alone, equal, grant, policy, run, secret, state, systemctl, test, wait_until

CLIENTS = 1000
# Each of these is a process.
ISOLATED_CLIENTS = int(os.environ.get("ISOLATED_CLIENTS", "1000"))
SECONDS = 120
GET = b'{"method":"io.porterd.Credentials.Get"}'
OPEN = b'{"method":"io.porterd.Files.Open","parameters":{"file":"key"}}'


def receive(one):
    return one.recv(65536)


def burst(path, kind, request, is_answer, read=receive, count=CLIENTS):
    """Everybody connects before anybody asks, and nobody leaves before all are answered."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    started = time.monotonic()
    clients = [client.connect(path, kind, SECONDS) for _ in range(count)]
    try:
        answers = ask_all(clients, request, read, started + SECONDS)
    finally:
        for one in clients:
            one.close()
    print(f"# {len(answers)} clients of {path} in {time.monotonic() - started:.1f} s")
    equal(len(answers), count, "answers")
    for answer in answers:
        equal(is_answer(answer), True, f"{answer[:200]!r}")
    failed = systemctl("--failed", "--plain", "--no-legend").stdout
    equal(failed, "", "failed units")
    for unit in SOCKETS:
        equal(state(unit), "active", unit)


def ask_all(clients, request, read, deadline):
    """Like a thousand processes: each sends when it can, and reads when its answer is there."""
    answers = []
    with selectors.DefaultSelector() as selector:
        for one in clients:
            one.setblocking(False)
            selector.register(one, selectors.EVENT_WRITE)
        while selector.get_map() and time.monotonic() < deadline:
            for key, events in selector.select(1):
                try:
                    if events & selectors.EVENT_WRITE:
                        key.fileobj.send(request)
                        selector.modify(key.fileobj, selectors.EVENT_READ)
                    else:
                        answers.append(read(key.fileobj))
                        selector.unregister(key.fileobj)
                except BlockingIOError:
                    pass  # the datagram socket's queue was full again
    return answers


def same(answer):
    return answer == b"x"


def credentials(answer):
    return b'"uid":0' in answer.replace(b" ", b"")


@test
def a_thousand_on_echo():
    burst("/run/porterd/echo", socket.SOCK_STREAM, b"x", same)


@test
def a_thousand_on_abstract_echo():
    systemctl("start", "porterd-echo-abstract.socket")
    burst("@porterd/echo", socket.SOCK_STREAM, b"x", same)
    equal(state("porterd-echo-abstract.socket"), "active")


@test
def a_thousand_on_echo_seqpacket():
    burst("/run/porterd/echo.seqpacket", socket.SOCK_SEQPACKET, b"x", same)


@test
def a_thousand_on_echo_dgram():
    burst("/run/porterd/echo.dgram", socket.SOCK_DGRAM, b"x", same)


@test
def a_thousand_on_varlink():
    burst("/run/porterd/io.porterd", socket.SOCK_STREAM, GET + b"\0", credentials)


@test
def a_thousand_on_credentials_seqpacket():
    burst("/run/porterd/credentials.seqpacket", socket.SOCK_SEQPACKET, GET, credentials)


@test
def a_thousand_on_credentials_dgram():
    burst("/run/porterd/credentials.dgram", socket.SOCK_DGRAM, GET, credentials)


def receive_content(one):
    """A reply and what can be read from its descriptor."""
    data, fds, _, _ = socket.recv_fds(one, 65536, 1)
    content = b"".join(os.pread(fd, 100, 0) for fd in fds)
    for fd in fds:
        os.close(fd)
    return data, content


@test
def a_thousand_open_a_file():
    policy(grant("key", secret("key", "the key"), "AllowUser=root"))
    burst("/run/porterd/io.porterd", socket.SOCK_STREAM, OPEN + b"\0",
          lambda answer: answer == (b'{"parameters":{"descriptor":0}}\0', b"the key"),
          receive_content)
    equal(state("porterd-opener.service"), "active")


def no_instances(template):
    return not run("systemctl", "list-units", "--all", "--plain", "--no-legend",
                   f"{template}*").stdout


@test
@alone
def many_on_isolated_varlink():
    systemctl("start", "porterd-isolated.socket")
    burst("/run/porterd/isolated/io.porterd", socket.SOCK_STREAM, GET + b"\0", credentials,
          count=ISOLATED_CLIENTS)
    equal(state("porterd-isolated.socket"), "active")
    wait_until(lambda: no_instances("porterd-isolated@"), "instances are gone", SECONDS)


@test
@alone
def many_on_isolated_echo():
    systemctl("start", "porterd-isolated-echo.socket")
    burst("/run/porterd/isolated/echo", socket.SOCK_STREAM, b"x", same, count=ISOLATED_CLIENTS)
    equal(state("porterd-isolated-echo.socket"), "active")
    wait_until(lambda: no_instances("porterd-isolated-echo@"), "instances are gone", SECONDS)


@test
def thirty_starts_one_after_the_other():
    # The start limit of systemd's defaults would end this at the sixth.
    for _ in range(30):
        equal(client.echo("/run/porterd/echo", b"x"), b"x")
        systemctl("stop", "porterd.service")
    equal(state("porterd-echo.socket"), "active")
