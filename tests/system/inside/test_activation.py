"""Sockets first, the daemon on demand: Accept=no and Accept=yes."""

import client
from harness import (SERVICES, SOCKETS, contains, equal, main_pid, processes, prop, raises, run, state, systemctl,
                     systemd_version, test, wait_until)

ECHO = "/run/porterd/echo"


@test
def starting_the_socket_activates_nothing():
    systemctl("stop", *SOCKETS)
    systemctl("start", "porterd.socket")
    for unit in SOCKETS:
        # The others are wanted, and nobody waits for them.
        wait_until(lambda one=unit: state(one) == "active", unit)
    for unit in SERVICES:
        equal(state(unit), "inactive", unit)
    equal(processes(), [], "processes")


@test
def the_first_client_activates_the_daemon():
    equal(client.echo(ECHO, b"hello"), b"hello")
    equal(state("porterd.service"), "active")
    equal(prop("porterd.service", "NRestarts"), "0")
    # Echo needs no files opened.
    equal(state("porterd-opener.service"), "inactive")


@test
def each_kind_of_socket_activates_the_daemon():
    ways = {
        "varlink": lambda: client.call("org.varlink.service.GetInfo")["product"],
        "credentials.seqpacket": lambda: client.message(
            "/run/porterd/credentials.seqpacket", b'{"method":"io.porterd.Credentials.Get"}'),
        "credentials.dgram": lambda: client.message(
            "/run/porterd/credentials.dgram", b'{"method":"io.porterd.Credentials.Get"}'),
        "echo.seqpacket": lambda: client.message("/run/porterd/echo.seqpacket", b"x"),
        "echo.dgram": lambda: client.message("/run/porterd/echo.dgram", b"x"),
    }
    for name, way in ways.items():
        systemctl("stop", "porterd.service")
        equal(bool(way()), True, name)
        equal(state("porterd.service"), "active", name)


@test
def the_daemon_is_ready_and_says_what_it_does():
    client.echo(ECHO, b"x")
    equal(prop("porterd.service", "Type"), "notify-reload" if systemd_version() >= 253 else "notify")
    wait_until(lambda: "connection" in prop("porterd.service", "StatusText"), "STATUS=")


@test
def the_daemon_runs_as_its_user_without_capabilities():
    client.echo(ECHO, b"x")
    status = run("cat", f"/proc/{main_pid('porterd.service')}/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        equal(int(fields[name], 16), 0, name)
    equal(fields["NoNewPrivs"], "1", "NoNewPrivs")
    equal(set(fields["Uid"].split()), {run("id", "-u", "porterd").stdout.strip()}, "uid")


@test
def a_daemon_started_by_hand_gets_its_sockets():
    systemctl("stop", *SOCKETS)
    systemctl("start", "porterd.service")
    equal(client.echo(ECHO, b"x"), b"x")
    equal(client.message("/run/porterd/credentials.dgram",
                         b'{"method":"io.porterd.Credentials.Get"}')[:1], b"{")
    for unit in SOCKETS[:3]:
        equal(state(unit), "active", unit)


@test
def a_daemon_without_sockets_says_how_to_start_it():
    done = run("/usr/sbin/porterd", ok=False)
    equal(done.returncode, 64, "exit status")
    contains(done.stdout + done.stderr, "porterd.socket")


@test
def one_socket_unit_is_stopped_without_the_others():
    systemctl("stop", "porterd-echo.socket")
    equal(state("porterd.socket"), "active")
    equal(state("porterd-credentials.socket"), "active")
    raises(FileNotFoundError, client.connect, ECHO)
    client.message("/run/porterd/credentials.seqpacket", b'{"method":"io.porterd.Credentials.Get"}')


@test
def one_socket_unit_is_masked_without_the_others():
    systemctl("stop", *SOCKETS)
    systemctl("mask", "--runtime", "porterd-echo.socket")
    try:
        systemctl("start", "porterd.socket")
        equal(client.call("org.varlink.service.GetInfo")["product"] != "", True)
        raises(FileNotFoundError, client.connect, ECHO)
        client.message("/run/porterd/credentials.seqpacket",
                       b'{"method":"io.porterd.Credentials.Get"}')
    finally:
        systemctl("unmask", "--runtime", "porterd-echo.socket")


def instances(template):
    listed = run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"{template}*")
    return [line.split()[0] for line in listed.stdout.splitlines()]


@test
def isolated_varlink_is_one_process_a_client():
    systemctl("start", "porterd-isolated.socket")
    with client.Varlink(client.ISOLATED) as one, client.Varlink(client.ISOLATED) as two:
        for varlink in (one, two):
            credentials = varlink.call("io.porterd.Credentials.Get")["credentials"]
            equal(credentials["uid"], 0, "uid")
        units = instances("porterd-isolated@")
        equal(len(units), 2, "instances")
        equal(len({main_pid(unit) for unit in units}), 2, "processes")
        equal(state("porterd.service"), "inactive", "the shared daemon")
    wait_until(lambda: not instances("porterd-isolated@"), "instances are gone")
    equal(state("porterd-isolated.socket"), "active")


@test
def isolated_echo_is_one_process_a_client():
    systemctl("start", "porterd-isolated-echo.socket")
    path = "/run/porterd/isolated/echo"
    with client.connect(path) as one, client.connect(path) as two:
        for number, each in enumerate((one, two)):
            each.sendall(b"%d" % number)
            equal(each.recv(10), b"%d" % number)
        units = instances("porterd-isolated-echo@")
        equal(len({main_pid(unit) for unit in units}), 2, "processes")
    wait_until(lambda: not instances("porterd-isolated-echo@"), "instances are gone")
    equal(client.echo(path, b"x" * 1000000), b"x" * 1000000)


@test
def isolated_instances_end_with_success():
    systemctl("start", "porterd-isolated-echo.socket")
    client.echo("/run/porterd/isolated/echo", b"x")
    wait_until(lambda: not instances("porterd-isolated-echo@"), "instances are gone")
    equal(systemctl("--failed", "--plain", "--no-legend").stdout, "", "failed units")
