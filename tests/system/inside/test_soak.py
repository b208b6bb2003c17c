"""Everybody at once, for a long time: nothing is kept of those who have left."""

import collections
import os
import pathlib
import pwd
import socket
import time

import client
from harness import (FILES, SERVICES, alone, equal, grant, main_pid, pids, policy, pss, secret, systemctl, test,
                     wait_until)
from load import (Loads, ask, asks, comes_and_goes, credentials, echoes, exchange, file_names, leaves, packet_echoes,
                  same, sends_fds)

SECONDS = float(os.environ.get("SOAK_SECONDS", "6"))
# KiB. What a process keeps for its next client depends on how many came at once before, and memory is had by the
# page; the load of ten minutes with a leak of a byte in each request would be more than this.
GROWTH = 256
# Who asks for files that are more than opened. All others are root, and their list is checked.
OTHER = "daemon"
CONTENT = "copied" * 1000
HELD = 16
# As many copies as porterd-files.conf(5) lets a user hold.
COPIES_MAX = 256


# --- more clients than those of load.py ------------------------------------------------------------------------------


def comes_alone(turn):
    """Has a process of its own for one question each time."""
    while turn.goes_on():
        with client.Varlink(client.ISOLATED) as varlink:
            ask(turn, varlink)
        with client.connect("/run/porterd/isolated/echo") as stream:
            exchange(turn, stream)
        turn.counts["processes"] += 2


def as_other():
    """A connection of that user's, whoever uses it."""
    with client.acting_as(pwd.getpwnam(OTHER).pw_uid):
        return client.Varlink()


def makes(turn):
    """Takes copies, of which it holds some, a file that is made each time, and a connection to a server of its own."""
    held = collections.deque()
    (FILES / "server").unlink(missing_ok=True)
    with as_other() as varlink, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(FILES / "server"))
        server.listen()
        while turn.goes_on():
            held.append(varlink.open("copy"))
            same(os.pread(held[-1].fileno(), 2 * len(CONTENT), 0), CONTENT.encode())
            if len(held) > HELD:
                held.popleft().close()
            with varlink.open("made") as file:
                os.write(file.fileno(), b"made")
            same((FILES / "made").read_bytes(), b"made")
            (FILES / "made").unlink()
            with varlink.open("server") as file, server.accept()[0] as connection:
                connection.sendall(b"served")
                same(os.read(file.fileno(), 100), b"served")
            turn.counts["made"] += 3
            time.sleep(0.002)
    while held:
        held.pop().close()


KINDS = (asks, asks, asks, leaves, echoes, packet_echoes, credentials, comes_and_goes, sends_fds, comes_alone, makes)


# --- what is left of them --------------------------------------------------------------------------------------------


def fds(unit):
    """What its processes' descriptors are of; None while they come and go."""
    try:
        return sorted(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
                      for pid in pids(unit) for fd in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return None


def instances():
    """Units of one client each, whatever has become of them."""
    return systemctl("list-units", "--all", "--plain", "--no-legend", "porterd-isolated*@*.service").stdout


def watched():
    """How many copies the opener waits for to be gone: each has an inotify watch."""
    descriptors = pathlib.Path(f"/proc/{main_pid('porterd-opener.service')}/fdinfo")
    return sum(one.read_text().count("inotify wd:") for one in descriptors.iterdir())


def room():
    """How many copies their user can have now."""
    copies = []
    with as_other() as varlink:
        try:
            while len(copies) <= COPIES_MAX:
                copies.append(varlink.open("copy"))
        except client.VarlinkError as error:
            equal(error.name, "Busy")
    for one in copies:
        one.close()
    return len(copies)


def at_rest():
    """What each process has when nobody is connected but porterd to the opener, so that nothing changes. The opener
    keeps who has asked for up to two seconds."""
    seen, since = None, time.monotonic()

    def unchanged():
        nonlocal seen, since
        last, seen = seen, [fds(unit) for unit in SERVICES]
        if seen != last or None in seen:
            since = time.monotonic()
        return time.monotonic() - since > 2.5
    # Before systemd would end them by itself.
    wait_until(lambda: not instances(), "no client has a process of its own", 10)
    wait_until(unchanged, "descriptors come and go no more", 30)
    equal(watched(), 0, "copies that are held, by whoever")
    return {unit: (found, pss(unit)) for unit, found in zip(SERVICES, seen)}


def load(seconds):
    loads = Loads(*KINDS)
    with loads:
        time.sleep(seconds)
    equal(loads.count("unavailable") + loads.count("lost"), 0, "what went wrong")
    for name in ("answers", "left", "echoes", "packets", "credentials", "visits", "floods", "processes", "made"):
        equal(loads.count(name) > 0, True, name)
    return loads


@test
# In moments it is one load among others; for minutes it would be in everybody's way.
@(alone if SECONDS >= 60 else lambda function: function)
def after_a_soak_nothing_is_kept():
    policy("".join(grant(name, secret(name, name), "AllowUser=root") for name in file_names()) +
           grant("copy", secret("copy", CONTENT), f"AllowUser={OTHER}", "Deliver=copy") +
           grant("made", FILES / "made", f"AllowUser={OTHER}", "Access=append", "Create=yes") +
           grant("server", FILES / "server", f"AllowUser={OTHER}", "Type=socket"))
    systemctl("start", "porterd-isolated.socket", "porterd-isolated-echo.socket")
    client.echo("/run/porterd/echo", b"x")
    with client.Varlink() as varlink:
        varlink.open(file_names()[0]).close()
    first = min(60, SECONDS / 4)
    load(first)
    processes = [pids(unit) for unit in SERVICES]
    before = at_rest()
    loads = load(SECONDS - first)
    after = at_rest()
    print(f"# in {SECONDS - first:.0f} s: {loads.count('answers')} answers of "
          f"the opener, {loads.count('left')} not waited for, {loads.count('echoes') + loads.count('packets')} echoes, "
          f"{loads.count('credentials')} credentials, {loads.count('visits')} visits, {loads.count('floods')} floods, "
          f"{loads.count('processes')} clients with a process each, {loads.count('made')} copies, files, connections")
    equal([pids(unit) for unit in SERVICES], processes, "processes")
    for unit in SERVICES:
        print(f"# {unit}: {len(before[unit][0])} and {len(after[unit][0])} descriptors, {before[unit][1]} and "
              f"{after[unit][1]} KiB")
    for unit in SERVICES:
        equal(collections.Counter(after[unit][0]) - collections.Counter(before[unit][0]), collections.Counter(),
              f"descriptors that {unit} has kept")
        equal(after[unit][1] - before[unit][1] <= GROWTH, True, f"memory of {unit} grew by no more than {GROWTH} KiB")
    equal(room(), COPIES_MAX, "copies that can be had again")
