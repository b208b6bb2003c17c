# SPDX-License-Identifier: MIT
"""Each system call of a program fails in turn with each errno that it may return, and so does each allocation.

A conversation has steps. For each call that a step makes, and each errno, the program is started anew, does that step
with that fault, and then has to serve everybody as before. What may become of a step, a call and an errno, whichever of
the calls of that name it was, stands in rules.py. The outcomes are:

  served         as without the fault
  told NAME      the error that the client got
  closed         the client's connection ended
  dropped        a datagram that nobody answered
  exit N         the program ended with this status, and said why
  exit N unsaid  the same, but nothing was said

What is never allowed: a signal, an answer that is wrong, silence on a connection, descriptors that stay, a
program that ends while it serves, or one that does not serve the next client."""

import errno
import json
import mmap
import os
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import zlib

_ROOT = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(_ROOT, "tests", "integration"))

from harness import *  # noqa: E402
from errors import ERRORS, NEVER  # noqa: E402
from rules import allowed  # noqa: E402

NAME, HEADER, CALL, CALLS_MAX = 24, "=24sIiIIII", "=24sII", 512
PLAN_SIZE = struct.calcsize(HEADER) + CALLS_MAX * struct.calcsize(CALL)

# The daemon waits for nothing, and nobody got an answer: none will come. Above the rest of a listener after a shortage,
# and the tick by which porterd does what is left over.
SILENCE = 2.5


LIBRARY = os.path.join(BUILD, "tests", "faults", ".libs", "faults.so")
# The steps that are asked for by name, as the tests are; none: all.
NAMED = sys.argv[1:] or os.environ.get("TEST_ONLY", "").split()
# One of so many is made in a usual run; FAULTS=all makes all, and so does who names steps.
SAMPLE = 1 if NAMED or os.environ.get("FAULTS") == "all" else 12
# Each program has 3,000 and more. With fewer than this the library has missed calls, or the steps make none.
FAULTS_MIN = 2000 // SAMPLE
# What a call fails with of which errors.py says nothing: another kernel or filter may not have it.
ANY_CALL = (errno.ENOSYS, errno.EPERM)
PROCESSES = min(2, len(os.sched_getaffinity(0)))
# So often again, where a fault was not met.
TRIES = 3


class Plan:
    """What the library counts and makes fail."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "plan")
        with open(self.path, "wb") as file:
            file.truncate(PLAN_SIZE)
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), PLAN_SIZE)
        self.counted = None

    def begin(self, fault=None):
        """Counts from here; the fault is of what comes now."""
        # The number last: it makes the fault take effect.
        call, number, error = fault or ("", 0, 0)
        self.memory[struct.calcsize(HEADER):] = bytes(PLAN_SIZE - struct.calcsize(HEADER))
        self.memory[28:36] = struct.pack("=iI", error, 0)
        self.memory[:NAME] = call.encode().ljust(NAME, b"\0")
        self.memory[24:28] = struct.pack("=I", number)
        self.counted = None

    def end(self):
        """What comes now is neither counted nor made fail."""
        self.memory[24:28] = bytes(4)
        if self.counted is None:
            self.counted = self._counts()

    @property
    def failed(self):
        return struct.unpack_from("=I", self.memory, 32)[0]

    @property
    def waits(self):
        return struct.unpack_from("=I", self.memory, 36)[0]

    def _counts(self):
        found = {}
        for name, count, _ in struct.iter_unpack(CALL, self.memory[struct.calcsize(HEADER):]):
            if name[0] == 0:
                break
            found[name.rstrip(b"\0").decode()] = count
        return found


class Ended(Exception):
    """The program has ended."""


class Wrong(Exception):
    """What must not be, whatever fails."""


class Daemon:
    """The program under test with its sockets: (name, kind) by path in its directory."""

    def __init__(self, directory, program, arguments, sockets, plan, fault=None):
        self.directory, self.plan = directory, plan
        self.notify = socket.socket(socket.AF_UNIX, DATAGRAM)
        path = os.path.join(directory, "notify")
        if os.path.exists(path):
            os.unlink(path)
        self.notify.bind(path)
        self.notify.setblocking(False)
        self.log_path = os.path.join(directory, "log")
        log = os.open(self.log_path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
        environment.update(LD_PRELOAD=LIBRARY, FAULT_PLAN=plan.path, NOTIFY_SOCKET=path,
                           LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(name for name, _ in sockets))
        plan.begin(fault)
        plan.memory[36:40] = bytes(4)
        self.status = None
        self.marked = 0
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for number, (_, one) in enumerate(sockets):
                    os.dup2(one.fileno(), 100 + number, inheritable=False)
                os.dup2(log, 2)
                os.dup2(os.open("/dev/null", os.O_RDWR), 0)
                os.dup2(0, 1)
                for number in range(len(sockets)):
                    os.dup2(100 + number, 3 + number, inheritable=True)
                environment["LISTEN_PID"] = str(os.getpid())
                os.execve(program, [program, *arguments], environment)
            finally:
                os._exit(97)
        os.close(log)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def has_ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def is_idle(self):
        return self.plan.waits % 2 == 1

    def settle(self):
        """Returns when it waits for events and does nothing else for a moment."""
        end = time.monotonic() + PATIENCE
        while True:
            before = self.plan.waits
            if before % 2 == 1:
                time.sleep(0.0003)
                if self.plan.waits == before:
                    return
            elif self.has_ended():
                raise Ended
            else:
                time.sleep(0.0001)
            if time.monotonic() > end:
                raise Wrong("it neither waits nor ends")

    def wait_for(self, client, silence=SILENCE):
        """Until there is something to receive: True, or False when the daemon leaves it at that."""
        end = None
        last = time.monotonic() + PATIENCE
        while not select.select([client], [], [], 0.02)[0]:
            if self.has_ended():
                # What it has sent last is still there.
                return bool(select.select([client], [], [], 0)[0])
            # It must have woken up since: on a busy machine that takes longer than silence.
            if end is None and self.plan.waits > self.marked + 1 and self.is_idle():
                end = time.monotonic() + silence
            if time.monotonic() > (last if end is None else end):
                return False
        return True

    def mark(self):
        """What is waited for comes from here on."""
        self.marked = self.plan.waits

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def states(self):
        said = []
        while True:
            try:
                said.append(self.notify.recv(4096).decode())
            except BlockingIOError:
                return said

    def stop(self):
        """Its status, when it was told to end."""
        if self.has_ended():
            return self.status
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while not self.has_ended():
            if time.monotonic() > end:
                raise Wrong("it does not end after SIGTERM")
            time.sleep(0.0003)
        return self.status

    def close(self):
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.notify.close()


def told(name):
    return "told " + name.rsplit(".", 1)[-1]


class Conversation:
    """Steps of a program. Subclasses have: start(plan, fault) -> Daemon, steps {name: function(daemon) -> outcome},
    and check(daemon), which raises Wrong unless everybody is served."""

    steps = {}

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="porterd-faults-")
        os.chmod(self.directory, 0o755)
        self.plan = Plan(self.directory)
        self.allowed_fds = {}

    def run(self, step, fault=None):
        """(outcome, what it called). Raises Wrong."""
        daemon = self.start(self.plan, fault if step == "start" else None)
        try:
            try:
                outcome = self.first_outcome(daemon, step, fault)
            except Ended:
                daemon.has_ended()
                outcome = self.ended(daemon)
            self.plan.end()
            counts = self.plan.counted
            if outcome.startswith("exit") and step not in ("start", "stop"):
                raise Wrong(f"it ended: {outcome}")
            if daemon.status is None:
                self.after(daemon, step, fault)
            if "Sanitizer" in daemon.log() or "runtime error" in daemon.log():
                raise Wrong("a sanitizer found something")
            return outcome, counts
        except Ended:
            daemon.has_ended()
            raise Wrong(f"it ended: {daemon.status}") from None
        except Wrong:
            for line in daemon.log().splitlines()[-10:]:
                print(f"# log: {line}", flush=True)
            raise
        finally:
            daemon.close()

    def first_outcome(self, daemon, step, fault):
        daemon.settle()
        if step == "start":
            return self.steps[step](self, daemon)
        self.plan.begin(fault)
        if step == "stop":
            daemon.stop()
            return self.ended(daemon)
        outcome = self.steps[step](self, daemon)
        daemon.settle()
        return outcome

    def ended(self, daemon):
        status = daemon.status
        if status < 0 or status >= 97:
            raise Wrong(f"it ended by signal {-status}" if status < 0 else f"it ended with status {status}")
        return f"exit {status}" + ("" if status == 0 or daemon.log() else " unsaid")

    def after(self, daemon, step, fault):
        """The next client is served, nothing stays, and it ends well."""
        end = time.monotonic() + PATIENCE
        while not self.check(daemon):
            if time.monotonic() > end:
                raise Wrong("others are not served afterwards")
            time.sleep(0.05)
        daemon.settle()
        if fault is None:
            self.allowed_fds[step] = daemon.fds()
        while daemon.fds() > self.allowed_fds[step]:
            if time.monotonic() > end:
                raise Wrong(f"{daemon.fds()} descriptors in place of {self.allowed_fds[step]}")
            time.sleep(0.01)
        daemon.stop()
        if daemon.status != 0:
            raise Wrong(f"it ended by {daemon.status} in the end")

    def hears_ready(self, daemon):
        states = []

        def told_ready():
            if daemon.has_ended():
                raise Ended
            states.extend(daemon.states())
            return any("READY=1" in state for state in states)
        eventually(told_ready, "READY=1")

    def faults(self, step, counts):
        for call, count in sorted(counts.items()):
            for error in ERRORS.get(call, () if call in NEVER else ANY_CALL):
                for number in range(1, count + 1):
                    yield call, number, error

    def inject(self, step, share, sharers):
        """One part of the faults of a step: (rows, how many were to be, how many were met, what is wrong)."""
        rows, wrong, chosen, injected = {}, [], 0, 0
        # At first it may make calls that it makes once.
        for outcome, counts in [self.run(step) for _ in range(2)]:
            equal(outcome, "exit 0" if step == "stop" else "served", f"{step} without a fault")
        for call, nth, error in self.faults(step, counts):
            number = zlib.crc32(f"{step} {call} {nth} {error}".encode())
            if number % SAMPLE or number // SAMPLE % sharers != share:
                continue
            chosen += 1
            outcomes = rows.setdefault(f"{step}\t{call}\t{errno.errorcode[error]}", set())
            try:
                outcome, _ = self.run(step, (call, nth, error))
                # Not each run makes as many calls of a kind; where all is slow, what a step ends with may come too late.
                for _ in range(TRIES):
                    if self.plan.failed or outcomes:
                        break
                    outcome, _ = self.run(step, (call, nth, error))
            except (Wrong, AssertionError, OSError) as what:
                wrong.append(f"{step}, {call} number {nth}, {errno.errorcode[error]}: {what}")
                continue
            if self.plan.failed:
                injected += 1
                outcomes.add(outcome)
            elif outcome not in ("served", "exit 0"):
                wrong.append(f"{step}, {call} number {nth} was not made: {outcome}")
        return {row: sorted(outcomes) for row, outcomes in rows.items() if outcomes}, chosen, injected, wrong

    def close(self):
        shutil.rmtree(self.directory)


def _share(conversation, steps, share, sharers, pipe):
    try:
        talk = conversation()
        try:
            result = {"steps": {step: talk.inject(step, share, sharers) for step in steps}}
        finally:
            talk.close()
    except BaseException:  # the parent tells about it
        result = {"error": traceback.format_exc()}
    with os.fdopen(pipe, "w") as file:
        json.dump(result, file)


class Results:
    """What all steps gave; found out when it is asked for first."""

    def __init__(self, conversation):
        self.conversation = conversation
        self.steps = None

    def of(self, step):
        if self.steps is None:
            self.steps = self.find_out()
        return self.steps[step]

    def find_out(self):
        wanted = [step for step in self.conversation.steps if not NAMED or step.replace(" ", "_") in NAMED]
        pipes = []
        for share in range(PROCESSES):
            reader, writer = os.pipe()
            if os.fork() == 0:
                _share(self.conversation, wanted, share, PROCESSES, writer)
                os._exit(0)
            os.close(writer)
            pipes.append(os.fdopen(reader))
        steps = {step: ({}, 0, 0, []) for step in wanted}
        for pipe in pipes:
            part = json.load(pipe)
            os.wait()
            if "error" in part:
                print(part["error"])
                sys.exit(1)
            for step, (rows, chosen, injected, wrong) in part["steps"].items():
                all_rows, all_chosen, all_injected, all_wrong = steps[step]
                for row, outcomes in rows.items():
                    all_rows[row] = sorted({*all_rows.get(row, []), *outcomes})
                steps[step] = (all_rows, all_chosen + chosen, all_injected + injected, all_wrong + wrong)
        return steps


def counts_lines():
    return b".gcda" in open(PORTERD, "rb").read()


def tests_of(conversation):
    """A test for each step, and one for how many faults there were."""
    results = Results(conversation)
    program = conversation.__name__.lower()

    def judge(step):
        if os.uname().machine not in ("x86_64", "aarch64"):
            raise Skip("the library does not know this machine's system calls")
        if not os.path.exists(LIBRARY) or WRAPPER or b"__asan_init" in open(PORTERD, "rb").read():
            raise Skip("nothing can be preloaded here")
        if step == "stop" and counts_lines():
            raise Skip("what writes the counts down at the end dies where there is no memory")
        rows, chosen, injected, wrong = results.of(step)
        print(f"# {injected} of {chosen} faults were met")
        for row, outcomes in sorted(rows.items()):
            _, call, error = row.split("\t")
            may_be, why = allowed(program, step, call, getattr(errno, error))
            print(f"# {row}\t{', '.join(outcomes)}")
            wrong += [f"{step}, {call}, {error}: {outcome}. Allowed: {', '.join(sorted(may_be))} ({why})"
                      for outcome in outcomes if outcome not in may_be]
        # Now and then a call is not made; but what is hardly met is not tested.
        if injected < chosen / 2 or chosen == 0:
            wrong.append(f"only {injected} of {chosen} faults were met")
        if wrong:
            raise AssertionError("\n".join(wrong))

    def enough_faults():
        if NAMED or results.steps is None:
            raise Skip("not all steps were made")
        met = sum(injected for _, _, injected, _ in results.steps.values())
        print(f"# {met} faults in all; at least {FAULTS_MIN} are to be")
        if met < FAULTS_MIN:
            raise AssertionError(f"only {met} faults were met in all steps; at least {FAULTS_MIN} are to be")

    for step in conversation.steps:
        def one(step=step):
            judge(step)
        one.__name__ = step.replace(" ", "_")
        test(one)
    test(enough_faults)
    main()
