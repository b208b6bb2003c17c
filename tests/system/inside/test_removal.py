"""The package goes: nothing of it runs or listens any more. These tests come last."""

import os
import pathlib

import client
from harness import ON_REQUEST, SERVICES, SOCKETS, equal, processes, run, state, systemctl, test

ENVIRONMENT = dict(os.environ, DEBIAN_FRONTEND="noninteractive")


@test
def an_upgrade_restarts_the_daemon_and_refuses_nobody():
    client.call("io.porterd.Credentials.Get")
    pid = systemctl("show", "-P", "MainPID", "porterd.service").stdout
    run("dpkg", "-i", "/root/porterd.deb", env=ENVIRONMENT)
    equal(client.echo("/run/porterd/echo", b"x"), b"x")
    equal(systemctl("show", "-P", "MainPID", "porterd.service").stdout != pid, True,
          "the daemon is another process")
    equal(client.message("/run/porterd/credentials.seqpacket",
                         b'{"method":"io.porterd.Credentials.Get"}')[:1], b"{")


@test
def removal_stops_everything():
    systemctl("start", *ON_REQUEST)
    with client.Varlink() as _, client.Varlink(client.ISOLATED) as isolated:
        isolated.call("io.porterd.Credentials.Get")
        client.call("io.porterd.Files.List")
        run("dpkg", "--remove", "porterd", env=ENVIRONMENT)
    for unit in [*SOCKETS, *ON_REQUEST, *SERVICES]:
        equal(state(unit), "inactive", unit)
    equal(processes(), [], "processes")
    equal([str(path) for path in pathlib.Path("/run/porterd").rglob("*") if path.is_socket()], [],
          "sockets")
    run("dpkg", "-i", "/root/porterd.deb", env=ENVIRONMENT)
    equal(client.echo("/run/porterd/echo", b"back"), b"back")
    run("dpkg", "--purge", "porterd", env=ENVIRONMENT)
    equal(processes(), [], "processes")
    run("dpkg", "-i", "/root/porterd.deb", env=ENVIRONMENT)
