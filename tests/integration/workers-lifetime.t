#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Worker processes that die, hang and stop: that each takes only its own clients along."""

import contextlib

from crew import *


@test
def a_worker_that_dies_takes_its_own_connections_and_no_others():
    with start() as program:
        pids = workers(program)
        count = Count(pids)
        clients = served(program, 200)
        had = count.now()
        os.kill(pids[0], signal.SIGKILL)
        alive = [is_served(client) for client in clients]
        equal(alive.count(False), had[0], "connections that ended")
        later = crew(program.process.pid)
        equal(pids[1] in later and pids[0] not in later, True, f"another for the dead one: {pids}, {later}")
        close_all(served(program, 20) + clients)
        log = program.log()
        equal(f"(process {pids[0]}) was killed by signal 9 (Killed), with {had[0]} connections" in log, True, log)
        equal(log.count("Worker "), 1, "records about it")


@test
def it_is_replaced_at_once():
    if WRAPPER:
        raise Skip("what is in front of the program takes its time")
    times = []
    for _ in range(3):
        with start() as program:
            pids = workers(program)
            for victim in pids:
                begin = time.monotonic()
                os.kill(victim, signal.SIGKILL)
                while not any(pid not in pids and serves(pid) for pid in children(program.process.pid)):
                    if time.monotonic() > begin + PATIENCE:
                        raise AssertionError("it was not replaced")
                times.append(time.monotonic() - begin)
                pids = crew(program.process.pid)
    # What the machine does besides may cost one of them more.
    if sorted(times)[len(times) // 2] > 0.05:
        raise AssertionError(f"replaced after {times} s")


@test
def a_crash_loop_is_slowed_down_and_reported():
    with start() as program:
        stays, first = workers(program)
        begin = time.monotonic()
        killed = {first}
        with served(program, 1)[0]:
            os.kill(first, signal.SIGKILL)
            while time.monotonic() < begin + 4:
                for pid in set(children(program.process.pid)) - killed - {stays}:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)
            # At once, at once, at once, then after 0.1, 0.2, 0.4, 0.8, 1, 1 … seconds.
            if not 5 <= len(killed) <= 10:
                raise AssertionError(f"killed {len(killed)} times in 4 s")
        log = program.log()
        equal("that makes 4 in a row, so the next one starts in 100 ms" in log, True, log)
        equal("that makes 5 in a row, so the next one starts in 200 ms" in log, True, log)
        equal(stays in crew(program.process.pid), True, "the other one was left alone")
        close_all(served(program, 10))


@test
def a_stopped_worker_does_not_stop_new_clients_and_is_replaced():
    with start() as program:
        pids = workers(program)
        count = Count(pids)
        clients = served(program, 20)
        mine = count.now()[0]
        begin = time.monotonic()
        os.kill(pids[0], signal.SIGSTOP)
        slowest = 0
        for _ in range(200):
            before = time.monotonic()
            close_all(served(program, 1))
            slowest = max(slowest, time.monotonic() - before)
        if slowest > 1.5:
            raise AssertionError(f"one client waited for {slowest} s")
        # It has the fewest connections all the time.
        others = one_by_one(program, 200)
        if time.monotonic() - begin > SILENCE:
            raise AssertionError("they were not served before it was replaced")
        eventually(lambda: pids[0] not in children(program.process.pid), "it is killed")
        took = time.monotonic() - begin
        if took > 2 * SILENCE:
            raise AssertionError(f"it was killed after {took} s")
        equal([is_served(client) for client in clients].count(False), mine, "connections that ended with it")
        equal([is_served(client) for client in others].count(False), 0, "connections of others that ended with it")
        equal(pids[1] in crew(program.process.pid), True, "the other one was left alone")
        eventually(lambda: "gave no sign of life for 4 s and was killed" in program.log(), program.log())
        close_all(clients + others)


def found_after_a_lost_wake_up():
    """Seconds until a client is served whose wake-up went to somebody in front of both workers in the socket's queue, who
    does nothing: as a worker does that is stopped between its wake-up and accept(). None if a worker was quicker than
    whoever was woken, and had the client already: then no wake-up was lost."""
    with listening() as listener, select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        woken = []
        thread = threading.Thread(target=lambda: woken.append(epoll.poll(PATIENCE)))
        thread.start()
        with Forked([("echo", listener)]) as porterd:
            crew(porterd.pid)
            with connect_to(listener) as client:
                begin = time.monotonic()
                equal(is_served(client), True)
                took = time.monotonic() - begin
            thread.join()
            return took if woken[0] else None


@test
def a_client_whose_wake_up_was_lost_is_found():
    took = None
    for _ in range(3):
        took = took or found_after_a_lost_wake_up()
    if took is None or took > 1.6 + (PATIENCE if WRAPPER else 0):
        raise AssertionError(f"it was found after {took} s")


@test
def a_reload_reaches_all_workers_and_those_that_come_later():
    def limits(number):
        return {"porterd.conf.d/test.conf": f"[Server]\nConnectionsMax={number}\n"}
    configured = start("ConnectionsMax=2\n")
    with configured as program:
        pids = workers(program)
        # Each takes one.
        clients = served(program, 2)
        waiting = program.connect()
        waiting.sendall(b"wait")
        configured.reload(limits(6))
        equal(receive_exactly(waiting, 4), b"wait", "who waited at the limit")
        clients += served(program, 3)
        equal(all(is_served(client) for client in clients), True, "nobody was disturbed")
        equal(children(program.process.pid), pids, "the same workers")

        close_all([waiting, *clients])
        os.kill(pids[0], signal.SIGKILL)
        crew(program.process.pid)
        close_all(served(program, 6))


@test
def a_reload_has_been_done_when_systemd_is_told():
    with Manager() as manager, start() as program:
        pids = workers(program)
        manager.hear("READY=1")

        def reload():
            """How many seconds after RELOADING=1, by its own time, READY=1 comes."""
            manager.told.clear()
            program.process.send_signal(signal.SIGHUP)
            manager.hear("READY=1")
            arrived = time.monotonic()
            told = next(text for _, text in manager.told if "RELOADING=1" in text)
            return arrived - int(re.search(r"MONOTONIC_USEC=(\d+)", told)[1]) / 1e6
        times = [reload() for _ in range(20 if WRAPPER else 5)]
        equal(min(times) < 0.9, True, f"it need not wait, but took {times}")
        # One that is stopped is waited for, and not for ever.
        os.kill(pids[0], signal.SIGSTOP)
        took = reload()
        os.kill(pids[0], signal.SIGCONT)
        equal(took >= 1, True, f"it waits for one that is stopped, but took {took}")


@test
def sigterm_answers_what_was_received():
    with start() as program:
        pids = workers(program)
        clients = served(program, 100)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for client in clients:
            client.sendall(b"x" * 10000)
        program.terminate()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for client in clients:
            equal(receive_exactly(client, 10000), b"x" * 10000)
            equal(client.recv(1), b"", "the end")
        equal(program.wait(), 0, "exit status")
        equal("Worker" in program.log(), False, "records about workers")


@test
def sigterm_does_not_wait_for_a_stopped_worker_for_ever():
    with start() as program:
        pids = workers(program)
        os.kill(pids[0], signal.SIGSTOP)
        begin = time.monotonic()
        program.terminate()
        equal(program.process.wait(PATIENCE + 10), 0, "exit status")
        took = time.monotonic() - begin
        if took > 9:
            raise AssertionError(f"it took {took} s")


@test
def the_supervisor_waits_as_long_as_the_setting_says():
    """A client that reads nothing is waited for by its worker, and the supervisor waits for that one, also if the setting
    is new."""
    for at_first, seconds in ((1, 1), (1, 9)):
        with contextlib.ExitStack() as stack:
            manager = stack.enter_context(Manager())
            configured = start(f"DrainTimeoutSec={at_first}\n")
            program = stack.enter_context(configured)
            workers(program)
            configured.reload({"porterd.conf.d/test.conf": f"[Server]\nDrainTimeoutSec={seconds}\n"})
            client = stack.enter_context(program.connect())
            fill(client, b"x" * 65536)
            begin = time.monotonic()
            program.terminate()
            manager.hear("STOPPING=1")
            stopping = manager.told[-1][1]
            # It waits for whoever does not listen.
            while program.process.poll() is None and time.monotonic() < begin + seconds + PATIENCE:
                manager.hears("nothing that it says", 0.1)
            took = time.monotonic() - begin
            equal(program.process.poll(), 0, "exit status")
        if not seconds - 0.2 < took < seconds + 2:
            raise AssertionError(f"DrainTimeoutSec={seconds}: it took {took} s")
        extended = int(re.search(r"EXTEND_TIMEOUT_USEC=(\d+)", stopping).group(1))
        equal(seconds + 2 < extended / 1000000 < seconds + 15, True, f"so long it may take: {extended}")


@test
def workers_end_with_their_supervisor():
    with listening() as listener, Forked([("echo", listener)]) as porterd:
        pids = crew(porterd.pid)
        os.kill(porterd.pid, signal.SIGKILL)
        os.waitpid(porterd.pid, 0)
        porterd.pid = None
        for pid in pids:
            eventually(lambda: has_ended(pid), f"{pid} ends")


@test
def exit_on_idle_when_all_are_idle():
    with start(arguments=["--exit-idle=1"]) as program:
        pids = workers(program)
        with served(program, 1)[0] as client:
            time.sleep(2.5)
            equal(program.process.poll(), None, "it runs while somebody is connected")
            equal(children(program.process.pid), pids, "and so do both workers")
            equal(is_served(client), True)
        begin = time.monotonic()
        equal(program.wait(), 0, "exit status")
        if time.monotonic() - begin < 0.9:
            raise AssertionError("it left too early")
        equal("Worker" in program.log(), False, "records about workers")


@test
def who_comes_when_all_are_idle_is_served():
    """By the worker that has not stopped yet, or by the next start; and whoever stays is served by two again."""
    starts = set()
    for delay in (0, 0.02, 0.3):
        with listening() as listener, Forked([("echo", listener)], "--exit-idle=1") as porterd:
            first, second = crew(porterd.pid)
            # They say that they are idle, but the supervisor hears it only when one of them can't leave.
            os.kill(porterd.pid, signal.SIGSTOP)
            time.sleep(3)
            os.kill(first, signal.SIGSTOP)
            os.kill(porterd.pid, signal.SIGCONT)
            eventually(lambda: children(porterd.pid) == [first], "one has left")
            if delay == 0:
                client = connect_to(listener)
                os.kill(first, signal.SIGCONT)
            else:
                os.kill(first, signal.SIGCONT)
                time.sleep(delay)
                client = connect_to(listener)
            client.sendall(b"x")

            def answered():
                if porterd.ended():
                    porterd.start()
                return select.select([client], [], [], 0)[0]
            eventually(answered, "an answer")
            equal(client.recv(1), b"x")
            equal(is_served(client, b"y"), True, "it is not sent away")
            crew(porterd.pid)
            starts.add(porterd.starts)
            client.close()
    equal(2 in starts, True, "it was started anew for one of them")


@test
def a_client_keeps_the_others_from_leaving():
    with listening() as listener, Forked([("echo", listener)], "--exit-idle=1") as porterd:
        first, second = crew(porterd.pid)
        os.kill(porterd.pid, signal.SIGSTOP)
        time.sleep(3)
        # Both are idle. One has somebody before it hears that it may leave.
        os.kill(first, signal.SIGSTOP)
        with connect_to(listener) as client:
            equal(is_served(client), True)
            os.kill(first, signal.SIGCONT)
            os.kill(porterd.pid, signal.SIGCONT)
            time.sleep(0.5)
            equal(crew(porterd.pid)[0] > 0, True, "both are there")
            equal(is_served(client), True)
        eventually(porterd.ended, "it ends when nobody is there any more")


@test
def what_no_worker_can_begin_with_ends_all():
    with listening() as listener, directory_with("[Server]\nWorkers=2\n") as directory:
        status, errors = start_directly([listener.fileno()], ["echo"],
                                        [f"--config-dir={directory}", f"--opener=/{'x' * 200}"])
        equal(status, 1, "exit status")
        equal("Can't start: the way to the opener: File name too long" in errors and "ended with status 1" in errors, True, errors)


@test
def what_came_back_from_the_store_is_forgotten_there():
    for count in (1, 2):
        with Manager() as manager, listening() as listener, directory_with(f"[Server]\nWorkers={count}\n") as directory:
            kept = os.memfd_create("kept")
            status, errors = start_directly([listener.fileno(), kept], ["echo", "porterd-kept"],
                                            [f"--config-dir={directory}", "--exit-idle=1"])
            os.close(kept)
            equal(status, 0, errors)
            manager.hear("FDSTOREREMOVE=1\nFDNAME=porterd-kept")


@test
def a_start_that_fails_ends():
    with listening() as listener, directory_with("[Server]\nWorkers=2\n") as directory:
        ends = []
        if WRAPPER or sanitized():
            raise Skip("what is with the program needs descriptors, too")
        for limit in range(7, 24):
            child = fork_porterd([("echo", listener)], [f"--config-dir={directory}"], limit)
            end = time.monotonic() + PATIENCE
            status = None
            while status is None and not (len(children(child)) == 2 and all(serves(pid) for pid in children(child))):
                pid, status = os.waitpid(child, os.WNOHANG)
                status = status if pid else None
                if time.monotonic() > end:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    raise AssertionError(f"with {limit} descriptors it neither serves nor ends")
                time.sleep(0.01)
            wanted = (1,)
            if status is None:
                os.kill(child, signal.SIGTERM)
                _, status = os.waitpid(child, 0)
                # It may also fail when both of them serve already.
                wanted = (0, 1)
            equal(os.waitstatus_to_exitcode(status) in wanted, True, f"status {status} with {limit} descriptors")
            ends.append("failed" if status else "served")
        equal(ends[0] + ends[-1], "failedserved", "the first and the last")


main()
