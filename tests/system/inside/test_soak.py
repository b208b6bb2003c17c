"""Everybody at once, for a long time: nothing is kept of those who have left."""

import collections
import os
import time

import client
from harness import SERVICES, alone, equal, grant, pids, policy, pss, secret, test, wait_until
from load import (Loads, asks, comes_and_goes, credentials, echoes, file_names, leaves, packet_echoes, sends_fds)

SECONDS = float(os.environ.get("SOAK_SECONDS", "6"))
KINDS = (asks, asks, asks, leaves, echoes, packet_echoes, credentials, comes_and_goes, sends_fds)
# KiB. What a process keeps for its next client depends on how many came at once before, and memory is had by the
# page; the load of ten minutes with a leak of a byte in each request would be more than this.
GROWTH = 256


def fds(unit):
    """What its processes' descriptors are of; None while they come and go."""
    try:
        return sorted(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
                      for pid in pids(unit) for fd in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return None


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
    wait_until(unchanged, "descriptors come and go no more", 30)
    return {unit: (found, pss(unit)) for unit, found in zip(SERVICES, seen)}


def load(seconds):
    loads = Loads(*KINDS)
    with loads:
        time.sleep(seconds)
    equal(loads.count("unavailable") + loads.count("lost"), 0, "what went wrong")
    for name in ("answers", "left", "echoes", "packets", "credentials", "visits", "floods"):
        equal(loads.count(name) > 0, True, name)
    return loads


@test
# In moments it is one load among others; for minutes it would be in everybody's way.
@(alone if SECONDS >= 60 else lambda function: function)
def after_a_soak_nothing_is_kept():
    policy("".join(grant(name, secret(name, name), "AllowUser=root") for name in file_names()))
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
          f"{loads.count('credentials')} credentials, {loads.count('visits')} visits, {loads.count('floods')} floods")
    equal([pids(unit) for unit in SERVICES], processes, "processes")
    for unit in SERVICES:
        print(f"# {unit}: {len(before[unit][0])} and {len(after[unit][0])} descriptors, {before[unit][1]} and "
              f"{after[unit][1]} KiB")
    for unit in SERVICES:
        equal(collections.Counter(after[unit][0]) - collections.Counter(before[unit][0]), collections.Counter(),
              f"descriptors that {unit} has kept")
        equal(after[unit][1] - before[unit][1] <= GROWTH, True, f"memory of {unit} grew by no more than {GROWTH} KiB")
