"""Programs that are killed while many use them: who is not theirs goes on, and nobody gets another's answer."""

import os
import random
import signal
import socket
import struct
import time

import client
from harness import (SERVICES, SOCKETS, alone, drop_in, equal, grant, main_pid, pids, policy, prop, secret, state,
                     systemctl, test, wait_until)
from load import (Loads, asks, asks_isolated, echoes, file_names, isolated_echoes, leaves)
from test_workers import workers

CRASHES = int(os.environ.get("CRASHES", "4"))
WITNESSES = 40
CHECK = b'{"method":"io.porterd.Files.Check","parameters":{"file":"%s"}}\0' % file_names()[0].encode()


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


# --- who must not notice ---------------------------------------------------------------------------------------------


class Witness:
    """A connection that knows who serves it: the kernel names the sender of each answer."""

    def __init__(self, path, question):
        self.socket, self.question = client.connect(path), question
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.server = 0

    def who_answers(self):
        """None if the connection has ended."""
        try:
            self.socket.sendall(self.question)
            answer, told, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(12))
        except ConnectionError:
            return None
        return struct.unpack("3i", told[0][2])[0] if answer else None


def witnesses_of(count):
    """All are there before one is served, so that no worker gets them all."""
    found = [Witness("/run/porterd/echo", b"x") if number % 2 else Witness(client.VARLINK, CHECK)
             for number in range(count)]
    for one in found:
        one.server = one.who_answers()
    equal({one.server for one in found} <= set(pids("porterd.service")), True, "porterd's processes answer")
    return found


def ck_witnesses(witnesses, killed):
    """Who was served by the one that was killed has lost it, and who was not goes on with the same as before."""
    equal([one.who_answers() for one in witnesses],
          [None if one.server == killed else one.server for one in witnesses], f"who answers without {killed}")


def bystanders(unit):
    """The processes of every other unit that the clients are served by."""
    listed = systemctl("list-units", "--plain", "--no-legend", "porterd-isolated*@*.service").stdout
    isolated = [line.split()[0] for line in listed.splitlines()]
    return {other: pids(other) for other in SERVICES + isolated if other != unit}


def all_bystanders(unit):
    """As soon as those with one client each are there, which are two."""
    found = bystanders(unit)
    return len(found) == 3 and all(found.values()) and found


# --- the crashes -----------------------------------------------------------------------------------------------------


def main_process(processes):
    return processes[0]


def busiest_worker(processes):
    """One of the others may have nobody to lose: whoever lost a worker goes to those that are there already."""
    return max(processes[1:], key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))


def crash(unit, loads, victim=main_process, times=CRASHES, witnesses=()):
    """Kills that one of the unit's processes (the main one is the first) again and again, as soon as all serve. No
    other process ends with it, but for those that the main one looks after."""
    count, killed, lost = len(pids(unit)), 0, 0

    def whole():
        found = state(unit) == "active" and pids(unit)
        return found and len(found) == count and killed not in found and found
    with loads:
        for _ in range(times):
            processes = wait_until(whole, f"all of {unit}")
            others = wait_until(lambda: all_bystanders(unit), "all others")
            time.sleep(random.uniform(0.02, 0.1))
            killed = victim(processes)
            os.kill(killed, signal.SIGKILL)
            # Nobody waits for the next one to be there.
            ck_witnesses([one for one in witnesses if one.server != killed], killed)
            found = wait_until(whole, f"all of {unit} without {killed}")
            if victim != main_process:
                equal(set(processes) - {killed} - set(found), set(), f"who ended with {killed}")
            equal(bystanders(unit), others, "processes of other units")
            ck_witnesses(witnesses, killed)
            left = [one for one in witnesses if one.server != killed]
            lost += len(witnesses) - len(left)
            witnesses = left + witnesses_of(len(witnesses) - len(left))
        time.sleep(0.2)
    print(f"# {times} times: {loads.count('answers')} answers, {loads.count('unavailable')} without the opener, "
          f"{loads.count('left')} not waited for, {loads.count('echoes')} echoes, {loads.count('lost')} connections "
          f"lost, and by {lost} witnesses")
    equal(prop(unit, "NRestarts"), str(times if victim == main_process else 0), f"restarts of {unit}")
    for name in SOCKETS:
        equal(state(name), "active", name)
    everybody_serves()
    return lost


@test
@alone
def the_opener_is_killed():
    prepare()
    loads = Loads(asks, asks, asks_isolated, leaves, echoes, isolated_echoes)
    equal(crash("porterd-opener.service", loads, witnesses=witnesses_of(WITNESSES)), 0, "porterd's connections")
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
        lost = crash("porterd.service", loads, victim=busiest_worker, witnesses=witnesses_of(WITNESSES))
        equal(main_pid("porterd.service"), main, "who looks after them")
        equal(loads.count("answers") > 10 * CRASHES, True, "answers")
        equal(0 < lost < CRASHES * WITNESSES, True, f"witnesses who lost theirs, and others: {lost}")
        equal(loads.count("unavailable"), 0, "the opener was there")
        equal(loads.longest(asks, asks_isolated, echoes, isolated_echoes) < 5, True, "who lost it is served at once")


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
