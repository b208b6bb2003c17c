"""What the system tests stand on: registration, a known state before each, assertions, units."""

import contextlib
import ctypes
import errno
import fcntl
import functools
import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import client

SOCKETS = ["porterd.socket", "porterd-credentials.socket", "porterd-echo.socket",
           "porterd-opener.socket"]
ON_REQUEST = ["porterd-echo-abstract.socket", "porterd-isolated.socket",
              "porterd-isolated-echo.socket"]
SERVICES = ["porterd.service", "porterd-opener.service"]
POLICIES = pathlib.Path("/etc/porterd/files.conf.d")
FILES = pathlib.Path("/srv/porterd-tests")
RUNTIME_UNITS = pathlib.Path("/run/systemd/system")
PACKAGE = pathlib.Path("/root/porterd.deb")
INSTALLING = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
CLIENT = ["python3", "-B", client.__file__]
# Where tests/system/run has bound what several booted systems take turns by.
TURNS = pathlib.Path("/opt/porterd-turns")
# Where these tests run, as the kernel knows it.
OWN_UNIT = pathlib.PurePath(pathlib.Path("/proc/self/cgroup").read_text().strip()).name
TESTS = []
ALONE = set()


class Skip(Exception):
    """Raised by a test that can't run here, with the reason."""


def test(function):
    """Registers FUNCTION: its name is the test's, its file the group's."""
    group = pathlib.Path(inspect.getfile(function)).stem.removeprefix("test_")
    TESTS.append((f"{group}: {function.__name__.replace('_', ' ')}", function))
    return function


def alone(function):
    """Marks a test that measures time, or that takes all that the machine has: no test runs beside it in another
    booted system that takes turns with this one."""
    ALONE.add(function)
    return function


def only_if(condition):
    """For what a release of systemd has or has not: otherwise the test isn't there at all."""
    return test if condition else lambda function: function


# --- programs and units ----------------------------------------------------------------------


def run(*argv, ok=True, timeout=60, **options):
    """Runs ARGV and returns it finished; with OK set, a failure fails the test."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False, **options)
    if ok and done.returncode:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def systemctl(*arguments, ok=True):
    return run("systemctl", *arguments, ok=ok)


def prop(unit, name):
    return systemctl("show", "--property", name, "--value", unit).stdout.strip()


def state(unit):
    return prop(unit, "ActiveState")


def main_pid(unit):
    return int(prop(unit, "MainPID"))


def pids(unit):
    """All its processes, the main one first."""
    group, main = prop(unit, "ControlGroup"), main_pid(unit)
    found = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and in_group(p, group)]
    return sorted(found, key=lambda pid: (pid != main, pid))


def in_group(process, group):
    try:
        return any(line.split(":", 2)[2] == group for line in (process / "cgroup").read_text().splitlines())
    except OSError:
        return False


def pss(unit):
    """KiB of memory that its processes have for themselves, or their share of."""
    rollups = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids(unit)]
    return sum(int(re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)[1]) for rollup in rollups)


def systemd_version():
    return int(run("systemctl", "--version").stdout.split()[1])


def drop_in(unit, text):
    """A drop-in until the end of the test."""
    directory = RUNTIME_UNITS / f"{unit}.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "test.conf").write_text(text)
    systemctl("daemon-reload")


def unit_file(name, text):
    RUNTIME_UNITS.mkdir(parents=True, exist_ok=True)
    (RUNTIME_UNITS / name).write_text("# porterd-tests\n" + text)


def in_unit(*argv, unit=None, ok=True, **properties):
    """Runs ARGV as a transient service; properties are given as User="alice"."""
    options = [f"--property={key}={value}" for key, value in properties.items()]
    if unit:
        options.append(f"--unit={unit}")
    return run("systemd-run", "--quiet", "--pipe", "--wait", "--collect", *options, "--", *argv,
               ok=ok)


def client_in_unit(*arguments, ok=True, **options):
    """The JSON, or else the text, that client.py prints when it runs as a service."""
    said = in_unit(*CLIENT, *arguments, ok=ok, **options).stdout
    try:
        return json.loads(said)
    except ValueError:
        return said


libc = ctypes.CDLL(None, use_errno=True)


def mount(source, path, kind=None, flags=0, options=""):
    """Not every tree has mount(8)."""
    if libc.mount(os.fsencode(source), os.fsencode(path), os.fsencode(kind) if kind else None, flags, os.fsencode(options)):
        raise OSError(ctypes.get_errno(), f"mount {path}")


def unmount(path):
    """Whoever was just served there may hold it for another moment."""
    def gone():
        if not libc.umount2(os.fsencode(path), 0):
            return True
        if ctypes.get_errno() != errno.EBUSY:
            raise OSError(ctypes.get_errno(), f"umount {path}")
        return False

    wait_until(gone, f"{path} is let go", 5)


# --- the package ---------------------------------------------------------------------------------


def dpkg(*arguments):
    return run("dpkg", *arguments, timeout=120, env=INSTALLING)


def version():
    """Of the product that the installed package was made of."""
    return run("dpkg-query", "--show", "--showformat=${source:Upstream-Version}", "porterd").stdout


@functools.cache
def package():
    """The file that the installed package came from: the one that was given, or else the archive's. To be asked for before
    the package goes, for where neither has it the test can't put it back."""
    if PACKAGE.exists():
        return PACKAGE
    installed = run("dpkg-query", "--show", "--showformat=${Version}", "porterd").stdout
    directory = pathlib.Path(tempfile.mkdtemp(prefix="porterd-package-"))
    directory.chmod(0o755)
    said = run("apt-get", "download", "-q", f"porterd={installed}", ok=False, cwd=directory, timeout=120)
    found = [*directory.glob("porterd_*.deb")]
    if not found:
        raise Skip(f"{PACKAGE} is not there, and no archive has porterd {installed}: {said.stderr.strip()[-100:]}")
    return found[0]


def install():
    """Installs the package, again or anew."""
    said = dpkg("-i", package())
    # What says that it was done has to have done it.
    equal("Setting up porterd" in said.stdout, True, f"dpkg set it up: {said.stdout}{said.stderr}")


def remove(how):
    """Removes the package (--remove, --purge), and first what needs it."""
    package()
    if run("dpkg-query", "--show", "--showformat=${Status}", "porterd-bench", ok=False).stdout.endswith(" installed"):
        dpkg(how, "porterd-bench")
    dpkg(how, "porterd")


# --- the policy --------------------------------------------------------------------------------


def secret(name, content="secret\n", mode=0o600):
    """A file of root's beneath FILES."""
    FILES.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = FILES / name
    path.write_text(content)
    path.chmod(mode)
    return path


def policy(text, mode=0o644, name="test.conf"):
    """Writes the policy and has it read by an opener that runs already."""
    POLICIES.mkdir(parents=True, exist_ok=True)
    (POLICIES / name).write_text(text)
    (POLICIES / name).chmod(mode)
    if state("porterd-opener.service") == "active":
        systemctl("reload", "porterd-opener.service")


def grant(name, path, *lines):
    return "\n".join([f"[{name}]", f"Path={path}", *lines, ""])


# --- waiting and comparing ---------------------------------------------------------------------


def wait_until(condition, what, seconds=15):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not so after {seconds} s")
        time.sleep(0.05)


def equal(got, expected, what="value"):
    if got != expected:
        raise AssertionError(f"{what}: got {brief(got)}, expected {brief(expected)}")


def contains(text, part, what="text"):
    if part not in text:
        raise AssertionError(f"{what}: {part!r} is not in {brief(text)}")


def raises(error, function, *arguments):
    try:
        value = function(*arguments)
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}, but {brief(value)}")


def brief(value):
    text = repr(value)
    return text if len(text) <= 2000 else f"{text[:1000]} ... {text[-200:]} ({len(text)} long)"


def cursor():
    return json.loads(run("journalctl", "-n", "1", "-o", "json").stdout)["__CURSOR"]


def journal(after, **fields):
    """Entries since the cursor as dictionaries, with these fields.

    Matched here: journalctl of systemd 252 skips an entry when it gets a cursor and a match."""
    run("journalctl", "--sync")
    lines = run("journalctl", "-o", "json", "--all", "--after-cursor", after).stdout
    entries = [json.loads(line) for line in lines.splitlines()]
    return [entry for entry in entries
            if all(entry.get(name) == value for name, value in fields.items())]


# --- one test after the other ------------------------------------------------------------------


def processes():
    """Process IDs of the product's programs."""
    return run("pgrep", "-x", "porterd|porterd-opener", ok=False).stdout.split() \
        if shutil.which("pgrep") else [p.name for p in pathlib.Path("/proc").iterdir()
                                       if p.name.isdigit() and command_name(p).startswith("porterd")]


def command_name(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def clean():
    """Nothing is left of what tests have written: policies, files, drop-ins, units."""
    shutil.rmtree(POLICIES, ignore_errors=True)
    shutil.rmtree(FILES, ignore_errors=True)
    for unit in RUNTIME_UNITS.glob("porterd*.d"):
        shutil.rmtree(unit)
    for unit in RUNTIME_UNITS.glob("*"):
        if unit.is_file() and unit.read_text().startswith("# porterd-tests"):
            systemctl("stop", unit.name.replace("@.", "@*."), ok=False)
            unit.unlink()


def reset():
    """The state after installation: sockets listen, nothing runs, no policy, no drop-ins."""
    clean()
    # Of four CPUs and more porterd would make several processes, and most tests look at the main one.
    if len(os.sched_getaffinity(0)) >= 4:
        (RUNTIME_UNITS / "porterd.service.d").mkdir(parents=True)
        (RUNTIME_UNITS / "porterd.service.d/cpus.conf").write_text("[Service]\nCPUAffinity=0-2\n")
    systemctl("daemon-reload")
    systemctl("stop", *ON_REQUEST, "porterd-isolated@*.service", "porterd-isolated-echo@*.service")
    systemctl("stop", *SOCKETS, *SERVICES)
    systemctl("reset-failed")
    systemctl("start", *SOCKETS)


@contextlib.contextmanager
def turn(function):
    """The time in which a test may run. Whoever wants to be alone waits for the others within the gate, so that none
    of them begins anew before."""
    if not TURNS.is_dir():
        yield
        return
    with open(TURNS / "gate", "w") as gate, open(TURNS / "field", "w") as field:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(field, fcntl.LOCK_EX if function in ALONE else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def run_one(number, name, function):
    with turn(function):
        return run_now(number, name, function)


def run_now(number, name, function):
    started, after = time.monotonic(), cursor()
    remark = ""
    try:
        reset()
        function()
        verdict = "ok"
    except Skip as reason:
        verdict, remark = "skip", f"SKIP {reason}, "
    except Exception:  # pylint: disable=broad-except
        verdict = "not ok"
        for line in traceback.format_exc().splitlines():
            print("#", line)
        explain(after)
    print(f"{verdict.replace('skip', 'ok')} {number} - {name} # {remark}{time.monotonic() - started:.1f} s", flush=True)
    return verdict


def explain(after):
    """What the system has to say about a failure."""
    units = run("systemctl", "list-units", "--all", "--plain", "--no-legend", "porterd*", ok=False)
    log = run("journalctl", "--after-cursor", after, "-o", "short-monotonic", "--no-hostname",
              "-n", "80", ok=False)
    for line in (units.stdout + log.stdout).splitlines():
        print("#  ", line)


def main(patterns):
    """Exit status: 0 some passed and none failed, 77 all were skipped, 1 otherwise."""
    chosen = [(name, function) for name, function in TESTS
              if not patterns or any(pattern in name for pattern in patterns)]
    print(f"1..{len(chosen)}", flush=True)
    os.umask(0o022)
    verdicts = {run_one(number, *entry) for number, entry in enumerate(chosen, 1)}
    clean()
    systemctl("daemon-reload")
    if not verdicts or "not ok" in verdicts:
        return 1
    return 0 if "ok" in verdicts else 77


if __name__ == "__main__":
    sys.exit("run main.py")
