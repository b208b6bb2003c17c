#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How porterd starts, stops and refuses to start."""

import os
import resource
import select
import signal
import socket
import subprocess
import time

from harness import *

EX_USAGE, EX_CONFIG = 64, 78


def listening(kind=STREAM, family=socket.AF_UNIX):
    sock = socket.socket(family, kind)
    if family == socket.AF_UNIX:
        sock.bind(f"\0porterd-test/{os.getpid()}/{id(sock)}/{time.monotonic_ns()}")
    else:
        sock.bind(("127.0.0.1", 0))
    if kind != DATAGRAM:
        sock.listen()
    return sock


def check_refused(fds, names, arguments=(), status=EX_CONFIG, words=()):
    got, errors = start_directly([s.fileno() for s in fds], names, arguments)
    equal(got, status, f"exit status for {names} ({errors.strip()})")
    equal(len(errors.strip().splitlines()), 1, f"lines of error in {errors!r}")
    for word in words:
        if word not in errors:
            raise AssertionError(f"{word!r} is not in {errors!r}")


@test
def no_sockets():
    status, errors = start_directly([], [], declare=False)
    equal(status, EX_USAGE, "exit status")
    if "systemctl start porterd.socket" not in errors:
        raise AssertionError(f"it does not say how to start it: {errors!r}")


@test
def unknown_name():
    with listening() as s:
        check_refused([s], ["nonsense"], words=("fd 3", "nonsense", "varlink"))
        check_refused([s, s], ["unknown", "unknown"], words=("--serve=",))
        check_refused([s], ["echo"], ["--serve=nonsense"])


@test
def variables_that_do_not_fit():
    with listening() as s:
        for names, words in ((["echo", "echo"], ("LISTEN_FDNAMES=echo:echo has 2 names", "LISTEN_FDS=1")),
                             (["echo", "echo", "echo"], ("has 3 names",))):
            check_refused([s], names, words=words)
    status, errors = start_directly([], [])
    equal((status, "systemctl start porterd.socket" in errors), (EX_USAGE, True), "LISTEN_FDS=0")


@test
def one_listening_stream_needs_no_name():
    with Program(name=None) as program, program.connect() as client:
        equal(Varlink(client).call("io.porterd.Credentials.Check")["parameters"]["satisfied"], True)


@test
def wrong_type():
    regular = open("/dev/null")
    for s, name in ((listening(DATAGRAM), "varlink"), (listening(SEQPACKET), "varlink"), (listening(), "credentials"),
                    (regular, "echo"), (listening(STREAM, socket.AF_INET), "varlink"),
                    (listening(DATAGRAM, socket.AF_INET), "credentials"),
                    (socket.socket(socket.AF_UNIX, STREAM), "echo")):
        with s:
            check_refused([s], [name], words=("fd 3",))


@test
def one_wrong_among_right_ones():
    with listening() as a, listening(DATAGRAM) as b, listening() as c:
        check_refused([a, b, c], ["varlink", "echo", "credentials"], words=("fd 5",))


@test
def connected_and_listening_together():
    left, right = socket.socketpair()
    with left, right, listening() as s:
        check_refused([s, left], ["echo", "echo"], words=("fd 4",))
        check_refused([left, right], ["echo", "echo"])


@test
def wrong_options():
    for arguments in (["--nonsense"], ["extra"], ["--exit-idle=x"], ["--exit-idle=-1"], ["--exit-idle= 1"], ["--serve"]):
        status, errors = start_directly([], [], arguments)
        equal(status, EX_USAGE, f"exit status for {arguments}")
        equal(bool(errors), True, "an error")


@test
def help_and_version():
    for option, word in (("--help", "Usage: porterd"), ("--version", "porterd ")):
        done = subprocess.run(WRAPPER + [PORTERD, option], stdout=subprocess.PIPE, check=True)
        if not done.stdout.decode().startswith(word):
            raise AssertionError(f"{option} printed {done.stdout!r}")


@test
def a_connected_socket_is_served_whatever_its_name():
    left, right = socket.socketpair()
    left.sendall(b"hello")
    left.shutdown(socket.SHUT_WR)
    status, errors = start_directly([right.fileno()], ["connection"], ["--serve=echo"])
    right.close()
    equal((status, errors), (0, ""), "exit status and errors")
    equal(receive_exactly(left, 5), b"hello")


@test
def many_sockets_at_once():
    """All services in one process, on the sockets that one systemd would hand over."""
    sockets = {("varlink", STREAM): listening(), ("credentials", SEQPACKET): listening(SEQPACKET),
               ("credentials", DATAGRAM): listening(DATAGRAM), ("echo", STREAM): listening(),
               ("echo", SEQPACKET): listening(SEQPACKET), ("echo", DATAGRAM): listening(DATAGRAM)}
    child = os.fork()
    if child == 0:
        for number, sock in enumerate(sockets.values()):
            os.dup2(sock.fileno(), 100 + number)
        for number in range(len(sockets)):
            os.dup2(100 + number, 3 + number, inheritable=True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)),
                          LISTEN_FDNAMES=":".join(name for name, _ in sockets))
        command = WRAPPER + [PORTERD]
        os.execvp(command[0], command)
    try:
        def client(key):
            sock = socket.socket(socket.AF_UNIX, key[1])
            sock.settimeout(PATIENCE)
            sock.bind("")  # an abstract address of the kernel's choice
            sock.connect(sockets[key].getsockname())
            return sock
        for kind in (STREAM, SEQPACKET, DATAGRAM):
            with client(("echo", kind)) as sock:
                sock.send(b"hello")
                equal(sock.recv(10), b"hello")
        with client(("varlink", STREAM)) as sock:
            equal("parameters" in Varlink(sock).call("io.porterd.Credentials.Get"), True)
        with client(("credentials", SEQPACKET)) as sock:
            sock.send(b'{"method":"io.porterd.Credentials.Get"}')
            equal(b"parameters" in sock.recv(1000), True)
    finally:
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    equal(status, 0, "wait status")


@test
def sigterm_answers_what_was_received():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Program() as program:
            clients = [program.connect() for _ in range(20)]
            for client in clients:
                equal(exchange(client, b"first"), b"first")
            program.process.send_signal(signal.SIGSTOP)
            for client in clients:
                client.sendall(b"x" * 100000)
            program.terminate(number)
            program.process.send_signal(signal.SIGCONT)
            for client in clients:
                equal(receive_exactly(client, 100000), b"x" * 100000)
                equal(client.recv(1), b"", "the end")
            equal(program.wait(), 0, "exit status")


@test
def sigterm_answers_varlink_and_packets():
    with Program(name="varlink") as program, program.connect() as client:
        varlink = Varlink(client)
        varlink.call("io.porterd.Credentials.Check")
        program.process.send_signal(signal.SIGSTOP)
        for _ in range(50):
            varlink.send("io.porterd.Credentials.Check")
        program.terminate()
        program.process.send_signal(signal.SIGCONT)
        for _ in range(50):
            equal(varlink.receive()["parameters"]["satisfied"], True)
        equal(varlink.receive(), None, "the end")
        equal(program.wait(), 0, "exit status")


@test
def sigterm_does_not_wait_for_ever_for_who_does_not_read():
    with Program() as program, program.connect() as lazy:
        equal(exchange(lazy, b"first"), b"first")
        lazy.setblocking(False)
        while select.select([], [lazy], [], PATIENCE / 20)[1]:
            lazy.send(b"x" * 65536)
        begin = time.monotonic()
        program.terminate()
        equal(program.process.wait(PATIENCE + 10), 0, "exit status")
        if time.monotonic() - begin < 3:
            raise AssertionError("it gave the client no time")


def accepted_process(program):
    """systemd-socket-activate tells it, but maybe after the client was served."""
    eventually(lambda: " as PID " in program.log(), "the log names the process")
    return int(program.log().split(" as PID ")[1].split(".")[0])


@test
def sigterm_in_an_accepted_process():
    with Program(accept=True) as program, program.connect() as client:
        equal(exchange(client, b"first"), b"first")
        pid = accepted_process(program)
        os.kill(pid, signal.SIGSTOP)
        client.sendall(b"second")
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        equal(client.recv(10), b"second")
        equal(client.recv(1), b"", "the end")
        eventually(lambda: f"Child {pid} died with code 0" in program.log(), "exit status 0")


@test
def sigterm_in_an_accepted_process_whose_client_does_not_read():
    with Program(accept=True) as program, program.connect() as lazy:
        equal(exchange(lazy, b"first"), b"first")
        pid = accepted_process(program)
        lazy.setblocking(False)
        while select.select([], [lazy], [], PATIENCE / 20)[1]:
            lazy.send(b"x" * 65536)
        os.kill(pid, signal.SIGTERM)
        time.sleep(2)
        equal("died" in program.log(), False, "it gives the client time")
        eventually(lambda: f"Child {pid} died with code 0" in program.log(), "exit status 0")


@test
def exit_on_idle():
    with Program(arguments=["--exit-idle=1"]) as program:
        with program.connect() as client:
            equal(exchange(client, b"hello"), b"hello")
            time.sleep(2.5)
            equal(program.process.poll(), None, "it runs while somebody is connected")
            equal(exchange(client, b"still"), b"still")
        begin = time.monotonic()
        equal(program.wait(), 0, "exit status")
        if time.monotonic() - begin < 0.9:
            raise AssertionError("it left too early")


@test
def no_exit_on_idle():
    with Program(arguments=["--exit-idle=0"]) as program:
        with program.connect() as client:
            equal(exchange(client, b"hello"), b"hello")
        time.sleep(2.5)
        equal(program.process.poll(), None, "it runs")


@test
def out_of_descriptors_the_listener_pauses_and_comes_back():
    with Program() as program:
        with program.connect() as client:
            equal(exchange(client, b"hello"), b"hello")
        limit = program.fds() + 10
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        clients = [program.connect() for _ in range(30)]
        for client in clients:
            client.sendall(b"hello")
        for client in clients[:8]:
            equal(client.recv(10), b"hello")

        def ticks():
            stat = open(f"/proc/{program.process.pid}/stat").read().rsplit(")", 1)[1].split()
            return int(stat[11]) + int(stat[12])
        before = ticks()
        time.sleep(1)
        if ticks() - before > os.sysconf("SC_CLK_TCK") / 4:
            raise AssertionError("it spins while it has no descriptors")
        equal(program.log().count("New clients wait"), 1, "records about it")
        for client in clients[:15]:
            client.close()
        for client in clients[15:25]:
            equal(client.recv(10), b"hello", "one who waited")


main()
