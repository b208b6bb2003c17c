"""The policy is read at start and on reload; a wrong one changes nothing."""

import os
import pathlib
import subprocess

import client
from harness import (POLICIES, contains, cursor, equal, grant, journal, only_if, policy, prop, raises, secret, state,
                     systemctl, systemd_version, test, wait_until)

CGROUPS = pathlib.Path("/sys/fs/cgroup")


def is_open(name):
    try:
        with client.Varlink() as varlink, varlink.open(name) as file:
            return bool(file.read(1))
    except client.VarlinkError:
        return False


def said_since(after, part):
    """Waits until the opener has said so in the journal."""
    def said():
        return any(part in str(entry.get("MESSAGE"))
                   for entry in journal(after, _SYSTEMD_UNIT="porterd-opener.service"))
    wait_until(said, f"the opener says {part!r}")


@test
def a_reload_brings_new_grants():
    policy(grant("old", secret("old"), "AllowUser=root"))
    equal(is_open("old"), True)
    pid = systemctl("show", "--property=MainPID", "porterd-opener.service").stdout
    policy(grant("new", secret("new"), "AllowUser=root"))
    wait_until(lambda: is_open("new"), "the new grant")
    equal(is_open("old"), False, "the old grant")
    equal(systemctl("show", "--property=MainPID", "porterd-opener.service").stdout, pid, "pid")


@only_if(systemd_version() >= 253 and (CGROUPS / "cgroup.controllers").exists())
def a_reload_has_been_done_when_systemctl_returns():
    policy(grant("old", secret("old"), "AllowUser=root"))
    equal(is_open("old"), True)
    (POLICIES / "test.conf").write_text(grant("new", secret("new"), "AllowUser=root"))
    # A process that is stopped systemd would continue.
    frozen = CGROUPS / prop("porterd-opener.service", "ControlGroup").lstrip("/") / "cgroup.freeze"
    frozen.write_text("1")
    with subprocess.Popen(["systemctl", "reload", "porterd-opener.service"]) as reload:
        try:
            wait_until(lambda: prop("porterd-opener.service", "SubState") == "reload-signal", "systemd waits for it")
            equal(reload.poll(), None, "systemctl waits, too")
        finally:
            frozen.write_text("0")
        equal(reload.wait(15), 0, "exit status of systemctl")
    equal((is_open("new"), is_open("old")), (True, False), "grants")


@test
def a_wrong_policy_keeps_the_last_good_one():
    policy(grant("key", secret("key"), "AllowUser=root"))
    equal(is_open("key"), True)
    after = cursor()
    policy("[key]\nPath=/etc/hostname\nAllowUser=root\nAccess=everything\n")
    said_since(after, f"{POLICIES}/test.conf:4")
    equal(state("porterd-opener.service"), "active")
    equal(is_open("key"), True, "the last good grant")
    with client.Varlink() as varlink, varlink.open("key") as file:
        equal(file.read(), b"secret\n", "of the last good path")


@test
def a_policy_that_cannot_be_parsed_keeps_the_last_good_one():
    policy(grant("key", secret("key"), "AllowUser=root"))
    equal(is_open("key"), True)
    after = cursor()
    policy(grant("key", "/etc/hostname", "AllowUser=root", "[broken"))
    said_since(after, f"{POLICIES}/test.conf:4")
    equal(is_open("key"), True, "the last good grant")


@test
def a_wrong_section_at_start_is_never_granted():
    after = cursor()
    policy(grant("good", secret("good"), "AllowUser=root"), name="a.conf")
    policy(grant("relative", "etc/hostname", "AllowUser=root") +
           grant("nobody-allowed", secret("key")), name="b.conf")
    for name in ("relative", "nobody-allowed"):
        equal(is_open(name), False, name)
    said_since(after, f"{POLICIES}/b.conf:")
    equal(is_open("good"), True, "the section that is right")


@test
def a_policy_that_others_can_write_is_refused():
    for mode in (0o664, 0o646):
        systemctl("stop", "porterd-opener.service")
        after = cursor()
        policy(grant("key", secret("key"), "AllowUser=root"), mode=mode)
        equal(is_open("key"), False, oct(mode))
        said_since(after, f"{POLICIES}/test.conf")


@test
def a_policy_of_another_owner_is_refused():
    policy(grant("key", secret("key"), "AllowUser=root"))
    os.chown(POLICIES / "test.conf", 65534, 65534)
    after = cursor()
    equal(is_open("key"), False)
    said_since(after, f"{POLICIES}/test.conf")


@test
def a_later_layer_overrides_an_earlier_one():
    one, two = secret("one", "1"), secret("two", "2")
    policy(grant("key", one, "AllowUser=root"), name="10-first.conf")
    policy(f"[key]\nPath={two}\n", name="20-second.conf")
    with client.Varlink() as varlink, varlink.open("key") as file:
        contains(file.read().decode(), "2")


@test
def a_reload_without_an_opener_is_refused_by_systemd():
    # Nothing is lost: the next start reads the policy.
    equal(state("porterd-opener.service"), "inactive")
    raises(AssertionError, systemctl, "reload", "porterd-opener.service")
