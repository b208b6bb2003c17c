"""Every open leaves one record, with fields that queries can rely on."""

import json
import math
import os
import pathlib
import re
import signal
import socket
import time

import client
from harness import (CLIENT, OWN_UNIT, SERVICES, alone, contains, cursor, drop_in, equal, grant, in_unit,
                     journal, main_pid, policy, prop, pss, raises, run, secret, test, wait_until)
from load import FILES_MAX, Loads, many
from test_credentials import user

# How long journald stands still.
SECONDS = float(os.environ.get("JOURNAL_SECONDS", "3"))
# Many times what journald would take in its interval, were it bounded.
GRANTS = 1000
# How long somebody asks for what nobody has, and the bound to what the journal keeps of that.
NOBODY = 65534
VAIN_SECONDS = 3
VAIN_RECORDS = 20000
FIELDS = ["FILE", "PATH", "ACCESS", "RESULT", "REASON", "CLIENT_UID", "CLIENT_GID", "CLIENT_PID",
          "CLIENT_UNIT", "CLIENT_INVOCATION_ID", "DEVICE", "INODE", "SEQUENCE"]


def records(after, name):
    return wait_until(lambda: journal(after, PORTERD_FILE=name),
                      f"a record of {name}")


@test
def a_granted_open_is_one_record_with_every_field():
    uid, gid = user("alice")
    path = secret("key")
    policy(grant("key", path, "AllowUser=alice"))
    after = cursor()
    done = in_unit("sh", "-c", f"echo $INVOCATION_ID; exec {' '.join(CLIENT)} open key",
                   User="alice", unit="porterd-test-record")
    invocation = done.stdout.splitlines()[0]
    entries = records(after, "key")
    equal(len(entries), 1, "records")
    entry = entries[0]
    for field in FIELDS:
        equal(f"PORTERD_{field}" in entry, True, f"PORTERD_{field}= is there")
    equal(entry["PORTERD_PATH"], str(path), "path")
    equal(entry["PORTERD_ACCESS"], "read", "access")
    equal(entry["PORTERD_RESULT"], "granted", "result")
    equal((entry["PORTERD_CLIENT_UID"], entry["PORTERD_CLIENT_GID"]), (str(uid), str(gid)), "ids")
    equal(int(entry["PORTERD_CLIENT_PID"]) > 1, True, "pid")
    equal(entry["PORTERD_CLIENT_UNIT"], "porterd-test-record.service", "unit")
    equal(entry["PORTERD_CLIENT_INVOCATION_ID"], invocation, "invocation ID")
    status = path.stat()
    equal(entry["PORTERD_INODE"], str(status.st_ino), "inode")
    device = entry["PORTERD_DEVICE"]
    equal(device in (str(status.st_dev), f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"),
          True, f"device {device}")
    equal(bool(re.fullmatch("[0-9a-f]{32}", entry["MESSAGE_ID"])), True, "MESSAGE_ID")
    contains(entry["MESSAGE"], "key", "MESSAGE")
    equal(entry["_UID"], "0", "who wrote it")


@test
def a_refused_open_is_a_record_of_another_kind():
    path = secret("key")
    policy(grant("mine", path, "AllowUser=root") + grant("theirs", path, "AllowUser=daemon"))
    after = cursor()
    with client.Varlink() as varlink:
        varlink.open("mine").close()
        error = raises(client.VarlinkError, varlink.open, "theirs")
    granted, refused = records(after, "mine")[0], records(after, "theirs")[0]
    equal(refused["PORTERD_RESULT"], "refused")
    equal(refused["PORTERD_REASON"], error.parameters["reason"], "the reason is the same")
    equal(refused["PORTERD_CLIENT_UNIT"], OWN_UNIT, "unit")
    equal(refused["MESSAGE_ID"] != granted["MESSAGE_ID"], True, "kinds differ")
    equal(int(refused["PORTERD_SEQUENCE"]), int(granted["PORTERD_SEQUENCE"]) + 1, "sequence")


@test
def a_name_that_is_unknown_is_recorded():
    policy(grant("key", secret("key"), "AllowUser=root"))
    after = cursor()
    with client.Varlink() as varlink:
        raises(client.VarlinkError, varlink.open, "nonsense")
    equal(records(after, "nonsense")[0]["PORTERD_RESULT"], "refused")


@test
def every_open_of_many_is_recorded_in_order():
    policy(grant("key", secret("key"), "AllowUser=root"))
    after = cursor()
    with client.Varlink() as varlink:
        for _ in range(50):
            varlink.open("key").close()
    wait_until(lambda: len(records(after, "key")) == 50, "50 records")
    numbers = [int(entry["PORTERD_SEQUENCE"]) for entry in records(after, "key")]
    equal(numbers, list(range(numbers[0], numbers[0] + 50)), "sequence")


@test
def the_catalog_explains_both_kinds():
    path = secret("key")
    policy(grant("mine", path, "AllowUser=root") + grant("theirs", path, "AllowUser=daemon"))
    after = cursor()
    with client.Varlink() as varlink:
        varlink.open("mine").close()
        raises(client.VarlinkError, varlink.open, "theirs")
    for name in ("mine", "theirs"):
        entry = records(after, name)[0]
        shown = run("journalctl", "--after-cursor", after, "-x").stdout
        shown = shown[shown.index(entry["MESSAGE"]):]
        contains(shown.splitlines()[1], "Subject:", f"journalctl -x of {name}")
        listed = run("journalctl", "--list-catalog", entry["MESSAGE_ID"]).stdout
        contains(listed, entry["MESSAGE_ID"], "journalctl --list-catalog")


@test
def the_catalog_explains_every_kind():
    text = pathlib.Path("/usr/lib/systemd/catalog/porterd.catalog").read_text()
    entries = re.findall(r"^-- ([0-9a-f]{32})\nSubject: ([^@\n]*)", text, re.MULTILINE)
    equal(len(entries) >= 8, True, f"{len(entries)} entries")
    after = cursor()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        for kind, _ in entries:
            log.sendto(f"MESSAGE=of kind {kind}\nMESSAGE_ID={kind}\n".encode(), "/run/systemd/journal/socket")
    wait_until(lambda: len([e for e in journal(after) if e.get("MESSAGE_ID") in dict(entries)]) == len(entries),
               "the entries are in the journal")
    shown = run("journalctl", "--after-cursor", after, "-x").stdout
    for kind, subject in entries:
        lines = shown[shown.index(f"of kind {kind}"):].splitlines()
        contains(lines[1], f"Subject: {subject}", f"journalctl -x of {kind}")
        contains("\n".join(lines[2:5]), "Defined-By: porterd", f"journalctl -x of {kind}")


@test
def text_of_a_client_stays_in_its_field():
    # A file name is the one text of a client's that reaches a record.
    policy(grant("key", secret("key"), "AllowUser=root"))
    after = cursor()
    name = "x\nPORTERD_RESULT=granted\nPRIORITY=0"
    with client.Varlink() as varlink:
        raises(client.VarlinkError, varlink.open, name)
    entries = wait_until(lambda: [e for e in journal(after, _SYSTEMD_UNIT="porterd-opener.service")
                                  if "PORTERD_RESULT" in e], "a record", 5)
    equal([json.dumps(e["PORTERD_RESULT"]) for e in entries], ['"refused"'], "result")


class Clocks:
    """How long opens and echoes take, to clients who stay connected, and at a pace that leaves the machine idle."""

    def __init__(self, varlink, stream):
        self.varlink, self.stream = varlink, stream
        self.opens = 0

    def open(self):
        self.opens += 1
        self.varlink.open("key").close()

    def echo(self):
        self.stream.sendall(b"x" * 64)
        equal(client.read_exactly(self.stream, 64), b"x" * 64, "echo")

    def measure(self, seconds):
        """99th percentiles of both, and the longest of all, in microseconds."""
        end, took = time.monotonic() + seconds, {self.open: [], self.echo: []}
        while time.monotonic() < end:
            for function, times in took.items():
                started = time.perf_counter()
                function()
                times.append(1e6 * (time.perf_counter() - started))
            time.sleep(0.001)
        return [sorted(times)[len(times) * 99 // 100] for times in took.values()] + [max(map(max, took.values()))]


class Stopped:
    """journald, which takes nothing as long as this is entered."""

    def __enter__(self):
        self.pid = main_pid("systemd-journald.service")
        os.kill(self.pid, signal.SIGSTOP)
        return self.pid

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # it was killed


def still(clocks):
    """One time of standing still: how much slower everybody was in it."""
    before = clocks.measure(max(SECONDS / 4, 2))
    memory = [pss(unit) for unit in SERVICES]
    with Stopped():
        during = clocks.measure(SECONDS)
        grown = [pss(unit) - then for unit, then in zip(SERVICES, memory)]
    print("# p99 of opens and echoes, and longest: {:.0f}, {:.0f} and {:.0f} us, without journald {:.0f}, {:.0f} and "
          "{:.0f} us; memory grew by {} and {} KiB".format(*before, *during, *grown))
    equal(max(grown) <= 256, True, f"memory stays: {grown} KiB")
    # Waiting for journald once, for as long as it may be, is no matter of percentiles.
    return max(now / then for now, then in zip(during[:2], before)) if during[2] < 1e6 else math.inf


def numbers_of(entries, field):
    return [int(entry[field]) for entry in entries if field in entry]


@test
@alone
def a_journal_that_stands_still_stops_nobody():
    policy(grant("key", secret("key"), "AllowUser=root"))
    after, slower = cursor(), []
    with client.Varlink() as varlink, client.connect("/run/porterd/echo") as stream:
        clocks = Clocks(varlink, stream)
        clocks.measure(0.5)
        # The machine does other things as well; a journal that is waited for is felt every time.
        while not slower or (min(slower) > 1.2 and len(slower) < 4):
            slower.append(still(clocks))
    equal(min(slower) <= 1.2, True, f"p99 without journald is {min(slower):.2f} of what it was")

    def opener_said():
        entries = journal(after, _COMM="porterd-opener")
        told = len(numbers_of(entries, "PORTERD_DROPPED")) >= len(slower)
        return told and len([e for e in entries if "PORTERD_RESULT" in e]) + \
            sum(numbers_of(entries, "PORTERD_DROPPED")) == clocks.opens and entries
    # Nothing is missing but what is told, and the numbers show where.
    entries = wait_until(opener_said, f"records and losses are {clocks.opens}")
    dropped = sum(numbers_of(entries, "PORTERD_DROPPED"))
    print(f"# {dropped} of {clocks.opens} records were dropped")
    numbers = numbers_of(entries, "PORTERD_SEQUENCE")
    equal(max(numbers) - min(numbers) + 1 - len(numbers), dropped, "numbers left out")


@test
def without_a_record_a_file_that_needs_one_is_not_granted():
    path = secret("key")
    policy(grant("key", path, "AllowUser=root", "AuditRequired=yes") + grant("free", path, "AllowUser=root"))
    after, granted, refused = cursor(), 0, 0
    with client.Varlink() as varlink:
        with Stopped():
            end = time.monotonic() + client.SECONDS
            while refused == 0 and time.monotonic() < end:
                try:
                    varlink.open("key").close()
                    granted += 1
                except client.VarlinkError as error:
                    equal(error.name, "Busy")
                    refused += 1
            equal(refused, 1, "the journal's queue has an end")
            varlink.open("free").close()
            for _ in range(99):
                equal(raises(client.VarlinkError, varlink.open, "key").name, "Busy")
                refused += 1
            wait_until(lambda: f"unrecorded: {refused}" in prop("porterd-opener.service", "StatusText"), "status")

        def again():
            try:
                varlink.open("key").close()
                return True
            except client.VarlinkError:
                return False
        tries = 1
        while not again():
            tries += 1
            time.sleep(0.01)
        granted += 1
        refused += tries - 1
    wait_until(lambda: sum(numbers_of(journal(after), "PORTERD_REFUSED")) == refused, "what was refused is told")
    print(f"# {granted} were granted, {refused} refused")
    equal([entry["PORTERD_RESULT"] for entry in records(after, "key")].count("granted"), granted,
          "records of what was granted")


@test
def a_record_outlasts_a_journald_that_is_killed():
    policy(grant("key", secret("key"), "AllowUser=root", "AuditRequired=yes"))
    after = cursor()
    with client.Varlink() as varlink:
        varlink.open("key").close()
        with Stopped() as journald:
            varlink.open("key").close()
            os.kill(journald, signal.SIGKILL)
            wait_until(lambda: main_pid("systemd-journald.service") not in (0, journald), "another journald")
            varlink.open("key").close()
    wait_until(lambda: run("journalctl", "--sync", ok=False).returncode == 0, "it answers")
    wait_until(lambda: len(records(after, "key")) == 3, "all three records")


# --- who has nothing to ask for --------------------------------------------------------------------------------------


def asks_in_vain(turn):
    """One unknown name after the other."""
    os.setresuid(NOBODY, NOBODY, NOBODY)
    with client.Varlink() as varlink:
        while turn.goes_on():
            equal(raises(client.VarlinkError, varlink.open, "nonsense").name, "UnknownFile")
            turn.counts["answers"] += 1


@test
def journald_keeps_all_of_the_opener():
    """Its rate limit for units does not apply to this one: otherwise a few tens of so many were stored."""
    drop_in("porterd-opener.service", "[Service]\nLogRateLimitBurst=10\n")
    policy(grant("key", secret("key"), "AllowUser=root"))
    after = cursor()
    with client.Varlink() as varlink:
        for _ in range(GRANTS):
            varlink.open("key").close()
    wait_until(lambda: len(journal(after, PORTERD_RESULT="granted")) == GRANTS, f"all of {GRANTS} records are stored")


@test
@alone
def refusals_in_a_flood_keep_no_other_record_out():
    alice, _ = user("alice")
    path = secret("key")
    policy(grant("key", path, "AllowUser=alice", "AuditRequired=yes"))
    after, taken = cursor(), 0
    loads = Loads(asks_in_vain, many(NOBODY, 4, [f"nonsense-{number}" for number in range(FILES_MAX)]))
    with loads:
        with client.acting_as(alice), client.Varlink() as varlink:
            end = time.monotonic() + VAIN_SECONDS
            while time.monotonic() < end:
                varlink.open("key").close()
                taken += 1
                time.sleep(0.02)
    asked = [turn["counts"]["answers"] for turn in loads.turns]
    equal(0 not in asked, True, "all were answered")

    def stored(uid):
        return [entry for entry in journal(after, PORTERD_CLIENT_UID=str(uid)) if "PORTERD_RESULT" in entry]
    entries = wait_until(lambda: len(stored(alice)) == taken and stored(alice), f"{taken} records of who was served")
    equal({entry["PORTERD_RESULT"] for entry in entries}, {"granted"}, "results")
    refused = len(stored(NOBODY))
    print(f"# {taken} grants were recorded, and {refused} of {asked[0] + FILES_MAX * asked[1]} refusals")
    equal(0 < refused < VAIN_RECORDS, True, f"records of refusals: {refused}")
