"""Who the kernel says the caller is: by several uids, units and kinds of socket."""

import json

import client
from harness import CLIENT, OWN_UNIT, client_in_unit, equal, in_unit, prop, run, test, unit_file, systemctl

GET = '{"method":"io.porterd.Credentials.Get"}'
SEQPACKET = "/run/porterd/credentials.seqpacket"
DGRAM = "/run/porterd/credentials.dgram"


def whoami(**options):
    return client_in_unit("varlink", "io.porterd.Credentials.Get", **options)["credentials"]


def user(name):
    """An ordinary user, made once, who is in a second group."""
    if run("id", name, ok=False).returncode:
        run("systemd-sysusers", "--inline", f"u {name} -", "g porters -", f"m {name} porters")
    ids = run("id", "-u", name).stdout, run("id", "-g", name).stdout
    return [int(text) for text in ids]


@test
def root_is_uid_0():
    got = whoami(unit="porterd-test-root")
    equal((got["uid"], got["gid"]), (0, 0), "ids")
    equal(got["unit"], "porterd-test-root.service", "unit")
    equal(got["pid"] > 1, True, "pid")


@test
def an_ordinary_user_with_groups():
    uid, gid = user("alice")
    got = whoami(User="alice")
    porters = int(run("getent", "group", "porters").stdout.split(":")[2])
    equal((got["uid"], got["gid"]), (uid, gid), "ids")
    equal(sorted(got["groups"]), sorted({gid, porters}), "groups")


@test
def a_uid_that_nobody_has_named():
    done = run("setpriv", "--reuid=70000", "--regid=70001", "--groups=70002,70003", *CLIENT,
               "varlink", "io.porterd.Credentials.Get")
    got = json.loads(done.stdout)["credentials"]
    equal((got["uid"], got["gid"], sorted(got["groups"])), (70000, 70001, [70002, 70003]), "ids")
    equal(got["unit"], OWN_UNIT, "unit")


@test
def a_dynamic_user():
    done = in_unit("sh", "-c", f"id -u; {' '.join(CLIENT)} varlink io.porterd.Credentials.Get",
                   DynamicUser="yes", unit="porterd-test-dynamic")
    uid, got = done.stdout.split("\n", 1)
    got = json.loads(got)["credentials"]
    equal(got["uid"], int(uid), "uid")
    equal(61184 <= int(uid) <= 65519, True, f"{uid} is a dynamic uid")
    equal(got["unit"], "porterd-test-dynamic.service", "unit")


@test
def the_invocation_id_is_systemds():
    unit_file("porterd-test-waits.service", f"""
[Service]
ExecStart={run("which", "python3").stdout.strip()} -B -c "import sys, time; \\
    sys.path.insert(0, '/opt/porterd-tests'); import client; v = client.Varlink(); \\
    open('/run/porterd-test-got', 'w').write( \\
        v.call('io.porterd.Credentials.Get')['credentials']['invocationId']); time.sleep(60)"
""")
    systemctl("daemon-reload")
    run("rm", "-f", "/run/porterd-test-got")
    systemctl("start", "porterd-test-waits.service")
    run("sh", "-c", "for i in $(seq 100); do [ -s /run/porterd-test-got ] && exit; sleep 0.1; done; "
        "exit 1")
    with open("/run/porterd-test-got", encoding="ascii") as file:
        equal(file.read(), prop("porterd-test-waits.service", "InvocationID"), "invocation ID")


@test
def our_own_unit_has_the_invocation_id_of_the_environment():
    got = json.loads(in_unit("sh", "-c", f"{' '.join(CLIENT)} varlink io.porterd.Credentials.Get; "
                             "printf %s $INVOCATION_ID >/run/porterd-test-id").stdout)
    with open("/run/porterd-test-id", encoding="ascii") as file:
        equal(got["credentials"]["invocationId"], file.read(), "invocation ID")


@test
def seqpacket_says_the_same_as_varlink():
    uid, gid = user("alice")
    got = client_in_unit("message", SEQPACKET, GET, User="alice", unit="porterd-test-seqpacket")
    got = got["parameters"]["credentials"]
    equal((got["uid"], got["gid"]), (uid, gid), "ids")
    equal(got["unit"], "porterd-test-seqpacket.service", "unit")
    equal(gid in got["groups"], True, "groups")


@test
def datagrams_have_credentials_but_no_groups():
    uid, gid = user("alice")
    got = client_in_unit("message", DGRAM, GET, User="alice", unit="porterd-test-dgram")
    got = got["parameters"]["credentials"]
    equal((got["uid"], got["gid"], got["groups"]), (uid, gid, None), "ids")
    equal(got["unit"], "porterd-test-dgram.service", "unit")


@test
def a_datagram_sent_before_the_daemon_starts_has_credentials():
    # reset() stopped the daemon: this very datagram starts it.
    equal(prop("porterd.service", "ActiveState"), "inactive")
    got = json.loads(client.message(DGRAM, GET.encode()))["parameters"]["credentials"]
    equal((got["uid"], got["unit"]), (0, OWN_UNIT))


@test
def check_tells_who_is_satisfied():
    def check(**parameters):
        return client.call("io.porterd.Credentials.Check", parameters)

    equal(check(users=["root"])["satisfied"], True, "user by name")
    equal(check(users=["daemon", "0"])["satisfied"], True, "user by number")
    equal(check(units=[OWN_UNIT], users=["root"])["satisfied"], True, "unit")
    equal(check(units=["other.service"], users=["root"]),
          {"satisfied": False, "failed": ["units"]}, "another unit")
    equal(check(groups=["root"])["satisfied"], True, "group")
    equal(sorted(check(users=["daemon"], groups=["daemon"])["failed"]), ["groups", "users"])


@test
def porterctl_whoami_says_the_same():
    uid, gid = user("alice")
    got = json.loads(in_unit("porterctl", "--json", "whoami", User="alice",
                             unit="porterd-test-whoami").stdout)
    got = got.get("credentials", got)
    equal((got["uid"], got["gid"], got["unit"]), (uid, gid, "porterd-test-whoami.service"))
