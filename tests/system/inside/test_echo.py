"""Echo on every kind of socket, by socat and by plain Python."""

import os
import socket

import client
from harness import equal, run, state, systemctl, test, unit_file

ECHO = "/run/porterd/echo"


def socat(address, text, seconds=20):
    """What comes back until the other end closes, or in so many seconds after the text has been sent."""
    return run("sh", "-c", f"umask 0; printf %s '{text}' | socat -t {seconds} - '{address}'").stdout


@test
def socat_on_the_stream():
    equal(socat(f"UNIX-CONNECT:{ECHO}", "hello stream"), "hello stream")


@test
def socat_on_seqpacket():
    equal(socat(f"UNIX-CONNECT:{ECHO}.seqpacket,socktype={int(socket.SOCK_SEQPACKET)}",
                "hello seqpacket"), "hello seqpacket")


@test
def socat_on_datagram():
    # The daemon's answer needs permission to write to the client's own socket,
    # and that the daemon sees it, wherever it is. It runs already, because socat
    # always waits all of its time here.
    equal(client.echo(ECHO, b"x"), b"x")
    for directory in ("/tmp", "/run", "/var/tmp", "/home"):
        own = f"{directory}/porterd-test-socat"
        equal(socat(f"UNIX-SENDTO:{ECHO}.dgram,bind={own}", "hello datagram", 1), "hello datagram",
              directory)


@test
def a_large_stream_comes_back_whole():
    data = os.urandom(8 << 20)
    with client.connect(ECHO) as connection:
        # Sending and reading take turns: the daemon keeps a bounded amount only.
        back = b""
        for start in range(0, len(data), 65536):
            connection.sendall(data[start:start + 65536])
            back += client.read_exactly(connection, 65536)
        connection.shutdown(socket.SHUT_WR)
        equal(connection.recv(1), b"", "end of the stream")
    equal(back == data, True, "8 MiB are the same")


@test
def half_close_gets_everything_back():
    equal(client.echo(ECHO, b"a" * 100000), b"a" * 100000)


@test
def seqpacket_keeps_boundaries():
    with client.connect(f"{ECHO}.seqpacket", socket.SOCK_SEQPACKET) as connection:
        messages = [b"one", b"", b"two", b"3" * 100000, b"four"]
        for message in messages:
            connection.send(message)
        equal([connection.recv(1 << 20) for _ in messages], messages)


@test
def datagrams_come_back_to_their_sender():
    with client.connect(f"{ECHO}.dgram", socket.SOCK_DGRAM) as one, \
         client.connect(f"{ECHO}.dgram", socket.SOCK_DGRAM) as two:
        one.send(b"of one")
        two.send(b"of two")
        one.send(b"")
        equal(two.recv(100), b"of two")
        equal([one.recv(100), one.recv(100)], [b"of one", b""])


@test
def the_abstract_socket_is_served_when_its_unit_was_started():
    systemctl("start", "porterd-echo-abstract.socket")
    equal(client.echo("@porterd/echo", b"abstract"), b"abstract")
    equal(client.echo(ECHO, b"path"), b"path")
    equal(socat("ABSTRACT-CONNECT:porterd/echo", "by socat"), "by socat")


@test
def a_tcp_socket_of_another_unit_is_served():
    # The daemon's own restrictions stay: accepting needs no socket of that family.
    unit_file("porterd-test-tcp.socket", """
[Socket]
ListenStream=127.0.0.1:7007
FileDescriptorName=echo
Service=porterd.service
""")
    systemctl("daemon-reload")
    systemctl("start", "porterd-test-tcp.socket")
    with socket.create_connection(("127.0.0.1", 7007), timeout=10) as connection:
        connection.sendall(b"by tcp")
        connection.shutdown(socket.SHUT_WR)
        equal(client.read_exactly(connection, 100), b"by tcp")
    equal(state("porterd.service"), "active")
