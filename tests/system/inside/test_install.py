"""What the package leaves behind when it was installed in the running system."""

import os
import pathlib
import pwd
import stat

from harness import (ON_REQUEST, SERVICES, SOCKETS, equal, install, prop, run, state, systemctl, test,
                     version)


@test
def sockets_are_enabled_and_listen():
    for unit in SOCKETS:
        equal(systemctl("is-enabled", unit).stdout.strip(), "enabled", unit)
        equal(state(unit), "active", unit)


@test
def services_are_not_started():
    for unit in SERVICES:
        equal(state(unit), "inactive", unit)


@test
def abstract_and_isolated_sockets_are_shipped_only():
    for unit in ON_REQUEST:
        equal(systemctl("is-enabled", unit, ok=False).stdout.strip(), "disabled", unit)
        equal(state(unit), "inactive", unit)


@test
def modes_and_owners_of_the_socket_files():
    for name in ("io.porterd", "credentials.seqpacket", "credentials.dgram", "echo",
                 "echo.seqpacket", "echo.dgram"):
        status = os.stat(f"/run/porterd/{name}")
        equal((stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid),
              (True, 0o666, 0), name)
    porterd = pwd.getpwnam("porterd")
    status = os.stat("/run/porterd-opener")
    equal((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid),
          (0o755, 0, 0), "the opener's directory")
    status = os.stat("/run/porterd-opener/opener")
    equal((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, porterd.pw_uid), "the opener")


@test
def porterd_cannot_read_its_own_program():
    """So that none of its processes can be traced by another, not even while it starts."""
    status = os.stat("/usr/sbin/porterd")
    equal((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid), (0o711, 0, 0), "the program")


@test
def the_user_is_a_system_user_without_a_shell():
    porterd = pwd.getpwnam("porterd")
    equal(0 < porterd.pw_uid < 1000, True, f"uid {porterd.pw_uid}")
    equal(pathlib.Path(porterd.pw_shell).name, "nologin")


@test
def systemd_analyze_finds_nothing_to_say():
    units = [*SOCKETS, *ON_REQUEST, *SERVICES, "porterd-isolated@.service",
             "porterd-isolated-echo@.service"]
    said = run("systemd-analyze", "verify", *units)
    equal(said.stdout + said.stderr, "", "systemd-analyze verify")


@test
def programs_have_help_and_version():
    for program in ("/usr/sbin/porterd", "/usr/libexec/porterd/porterd-opener", "porterctl"):
        equal("--help" in run(program, "--help").stdout, True, f"{program} --help")
        equal(run(program, "--version").stdout.split()[-1], version(), f"{program} --version")


@test
def sockets_survive_a_second_installation():
    before = [prop(unit, "ActiveEnterTimestampMonotonic") for unit in SOCKETS]
    install()
    equal([prop(unit, "ActiveEnterTimestampMonotonic") for unit in SOCKETS], before,
          "since when the sockets are active")
    services_are_not_started()
