"""A Debian tree, booted: systemd as PID 1 in a container of systemd-nspawn."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BOOT_SECONDS = 60
STOP_SECONDS = 30
PROBE_SECONDS = 10
# Before a command: as a unit of its own, which has a name for the kernel to tell, and descriptors as after a login.
IN_UNIT = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--property=LimitNOFILE=65536",
           "--property=TasksMax=infinity", "--setenv=MAN_DISABLE_SECCOMP=1"]

# Installs the smallest seccomp filter there is: one that allows everything.
PROBE = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
libc.prctl(38, 1, 0, 0, 0)
raise SystemExit(libc.prctl(22, 2, program, 0, 0) != 0)
"""


class BootError(Exception):
    """This machine cannot boot the tree; the text says what nspawn said."""


def kernel_takes_filters():
    """Whether this kernel installs a seccomp filter, or hangs in it.

    A 6.18 kernel whose queue of freed filters was overrun hangs until its next start."""
    probe = subprocess.Popen(["python3", "-c", PROBE])
    try:
        return probe.wait(PROBE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        probe.kill()  # it stays as it is all the same
        return False


def own_control_groups():
    """The directories of this process in those hierarchies that systemd uses."""
    mounted = pathlib.Path("/sys/fs/cgroup")
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchies = {"name=systemd": [mounted / "systemd"],
                       "": [mounted / "unified", mounted]}.get(controllers, [])
        for hierarchy in hierarchies:
            directory = hierarchy / path.lstrip("/")
            if (directory / "cgroup.procs").exists():
                yield directory


class ControlGroup:
    """A control group of its own in each hierarchy: two systemds in one would end each other's units."""

    def __init__(self, name):
        self.directories = [directory / name for directory in own_control_groups()]
        for directory in self.directories:
            directory.mkdir()

    def enter(self):
        for directory in self.directories:
            (directory / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        for directory in self.directories:
            for below, _, _ in os.walk(directory, topdown=False):
                try:
                    os.rmdir(below)
                except OSError:
                    pass  # a process that has not quite ended


class Machine:
    """Boots TREE, which stays as it is: what the system writes goes to memory, but for what is SHARED."""

    def __init__(self, tree, binds=(), shared=()):
        self.tree = pathlib.Path(tree).resolve()
        self.binds = binds
        self.shared = shared
        self.name = f"porterd-{os.getpid()}"
        self.nspawn = None
        self.init = None
        self.control_group = None
        self.console = tempfile.NamedTemporaryFile(prefix="porterd-console-")

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def boot(self):
        filters = kernel_takes_filters()
        # nspawn itself needs no filter: what runs inside is the test's own.
        environment = dict(os.environ, SYSTEMD_SECCOMP="0",
                           SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1" if filters else "0")
        command = ["systemd-nspawn", "--quiet", f"--directory={self.tree}",
                   "--volatile=overlay", "--boot", "--register=no", "--keep-unit",
                   f"--machine={self.name}", "--private-network", "--console=pipe"]
        command += [f"--bind-ro={outside}:{inside}" for outside, inside in self.binds]
        command += [f"--bind={outside}:{inside}" for outside, inside in self.shared]
        if not filters:
            print("# this kernel hangs when it is given a filter: booting without any")
            # logind, alone of what is there, filters a socket of its own.
            command += ["--setenv=SYSTEMD_SECCOMP=0", "systemd.mask=systemd-logind.service"]
        self.control_group = ControlGroup(self.name)
        self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment,
                                       stdout=self.console, stderr=subprocess.STDOUT,
                                       preexec_fn=self.control_group.enter)
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self.nspawn.poll() is not None:
                raise BootError(self.console_text() or "systemd-nspawn ended without a word")
            if self.find_init() and self.is_up():
                return
            time.sleep(0.1)
        raise BootError(f"not up after {BOOT_SECONDS} s:\n{self.console_text()}")

    def find_init(self):
        pid = self.nspawn.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.init = children[0] if children else None
        return self.init

    def is_up(self):
        asked = self.run(["systemctl", "is-system-running", "--wait"], timeout=BOOT_SECONDS)
        return asked.stdout.strip() in (b"running", b"degraded")

    def command(self, argv):
        # -r and -w: the container's root is not its mount namespace's, where
        # this machine itself is a chroot.
        return ["nsenter", "-t", self.init, "-m", "-p", "-u", "-n", "-i", "-C", "-r", "-w", *argv]

    def run(self, argv, timeout=60):
        """Runs ARGV inside; the result holds stdout and stderr as bytes."""
        return subprocess.run(self.command(argv), stdin=subprocess.DEVNULL, timeout=timeout,
                              capture_output=True, check=False)

    def show(self, argv):
        """Runs ARGV inside and prints what it says; the exit status."""
        process = self.start(argv)
        for line in process.stdout:
            print(line, end="", flush=True)
        return process.wait()

    def start(self, argv):
        """Starts ARGV inside with a pipe to read what it prints."""
        return subprocess.Popen(self.command(argv), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace")

    def stop(self):
        if self.nspawn and self.nspawn.poll() is None:
            try:
                if self.init:
                    self.run(["systemctl", "poweroff"], timeout=10)
                self.nspawn.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.control_group:
            self.control_group.remove()
        # nspawn leaves these behind where no machined cleans up after it.
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self.name}", ignore_errors=True)
        self.tree.parent.joinpath(f".#{self.tree.name}.lck").unlink(missing_ok=True)

    def kill(self):
        if self.find_init():
            os.kill(int(self.init), signal.SIGKILL)
        try:
            self.nspawn.wait(10)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()

    def console_text(self):
        return pathlib.Path(self.console.name).read_text(errors="replace").strip()


def boot_for(use, *of_machine):
    """Boots, for as long as USE takes with the machine; whose result is this program's, unless nothing can boot here."""
    # So that the machine is stopped by its context whatever ends this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Machine(*of_machine) as machine:
            print(f"# booted {machine.tree}", flush=True)
            return use(machine)
    except BootError as error:
        print(f"1..0 # SKIP cannot boot here: {' '.join(str(error).split())}")
        return 77
