"""Programs that are killed while many use them: who is not theirs goes on, and nobody gets another's answer."""

import os
import random
import signal
import time

import client
from harness import (SOCKETS, alone, drop_in, equal, grant, main_pid, pids, policy, prop, secret, state, systemctl,
                     test, wait_until)
from load import (Loads, asks, asks_isolated, echoes, file_names, isolated_echoes, leaves)
from test_workers import workers

CRASHES = int(os.environ.get("CRASHES", "4"))


def prepare():
    policy("".join(grant(name, secret(name, name), "AllowUser=root") for name in file_names()))
    # The pause after a failure is tested elsewhere, and is most of the time otherwise.
    for unit in ("porterd.service", "porterd-opener.service"):
        drop_in(unit, "[Service]\nRestartSec=50ms\n")
    systemctl("start", "porterd-isolated.socket", "porterd-isolated-echo.socket")
    everybody_serves()


def everybody_serves():
    equal(client.echo("/run/porterd/echo", b"x"), b"x", "who comes")
    with client.Varlink() as varlink, varlink.open(file_names()[0]) as file:
        equal(file.read().decode(), file_names()[0])


def main_process(processes):
    return processes[0]


def busiest_worker(processes):
    """One of the others may have nobody to lose: whoever lost a worker goes to those that are there already."""
    return max(processes[1:], key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))


def crash(unit, loads, victim=main_process, times=CRASHES):
    """Kills that one of the unit's processes (the main one is the first) again and again, as soon as all serve."""
    count, killed = len(pids(unit)), 0

    def whole():
        found = state(unit) == "active" and pids(unit)
        return found and len(found) == count and killed not in found and found
    with loads:
        for _ in range(times):
            processes = wait_until(whole, f"all of {unit}")
            time.sleep(random.uniform(0.02, 0.1))
            killed = victim(processes)
            os.kill(killed, signal.SIGKILL)
        wait_until(whole, f"all of {unit} at the end")
        time.sleep(0.2)
    print(f"# {times} times: {loads.count('answers')} answers, {loads.count('unavailable')} without the opener, "
          f"{loads.count('left')} not waited for, {loads.count('echoes')} echoes, {loads.count('lost')} connections "
          "lost")
    equal(prop(unit, "NRestarts"), str(times if victim == main_process else 0), f"restarts of {unit}")
    for name in SOCKETS:
        equal(state(name), "active", name)
    everybody_serves()


@test
@alone
def the_opener_is_killed():
    prepare()
    pid = main_pid("porterd.service")
    loads = Loads(asks, asks, asks_isolated, leaves, echoes, isolated_echoes)
    crash("porterd-opener.service", loads)
    equal(main_pid("porterd.service"), pid, "porterd")
    equal(loads.count("answers") > 10 * CRASHES, True, "answers")
    equal(loads.count("unavailable") > 0, True, "some waited for an opener that was killed")
    # After 10 s porterd would give up by itself an opener that says nothing.
    equal(loads.longest(asks, asks_isolated) < 8, True, "who waited for it is told when it is gone")
    equal(loads.longest(echoes, isolated_echoes) < 5, True, "nobody else waits")


def everybody():
    return Loads(asks, asks, asks_isolated, leaves, echoes, isolated_echoes, may_lose=(asks, leaves, echoes))


@test
@alone
def the_daemon_is_killed():
    prepare()
    loads = everybody()
    crash("porterd.service", loads)
    equal(loads.count("answers") > 10 * CRASHES, True, "answers")
    equal(loads.count("lost") > CRASHES, True, "connections were lost")
    equal(loads.count("unavailable"), 0, "the opener was there")
    equal(loads.longest(isolated_echoes) < 5, True, "others don't wait")


@test
@alone
def a_worker_is_killed():
    prepare()
    with workers(3):
        main, loads = main_pid("porterd.service"), everybody()
        crash("porterd.service", loads, victim=busiest_worker)
        equal(main_pid("porterd.service"), main, "who looks after them")
        equal(loads.count("answers") > 10 * CRASHES, True, "answers")
        equal(loads.count("lost") > 0, True, "connections were lost")


@test
@alone
def who_looks_after_the_workers_is_killed():
    prepare()
    with workers(3):
        loads = everybody()
        crash("porterd.service", loads)
        equal(loads.count("answers") > 10 * CRASHES, True, "answers")
        equal(loads.count("unavailable"), 0, "the opener was there")
        equal(loads.longest(isolated_echoes) < 5, True, "others don't wait")
