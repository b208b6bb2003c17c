# SPDX-License-Identifier: MIT
"""What the tests of several workers share."""

import threading

from world import *

# How long a worker may be silent, in seconds: what WatchdogSec= says.
SILENCE = 4
# The kernel's default, RLIMIT_NOFILE, would be too few for both ends of a thousand.
resource.setrlimit(resource.RLIMIT_NOFILE, (min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                                            resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def start(lines="", arguments=(), **options):
    """porterd with two workers, unless the lines say how many. The variables are systemd's, which
    systemd-socket-activate only passes on."""
    os.environ["WATCHDOG_USEC"] = str(SILENCE * 1000000)
    try:
        return Configured({"porterd.conf": "[Server]\nUserConnectionsMax=1000000\nWorkers=2\n",
                           "porterd.conf.d/test.conf": "[Server]\n" + lines}, arguments,
                          environment=("WATCHDOG_USEC", "NOTIFY_SOCKET"), **options)
    finally:
        del os.environ["WATCHDOG_USEC"]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return sorted(int(child) for child in file.read().split())


def has_ended(pid):
    """Or waits for whoever started it to notice."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def serves(pid, listener=3):
    """Is the listening socket in an epoll set of its own?"""
    try:
        numbers = os.listdir(f"/proc/{pid}/fdinfo")
    except FileNotFoundError:
        # A worker that has ended.
        return False
    for fd in numbers:
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}") as file:
                if re.search(rf"^tfd: +{listener} ", file.read(), re.MULTILINE):
                    return True
        except FileNotFoundError:
            pass
    return False


def crew(pid, count=2):
    """The workers of a supervisor, when all of them serve."""
    def found():
        pids = children(pid)
        return len(pids) == count and all(serves(pid) for pid in pids) and pids
    return eventually(found, f"{count} workers serve")


def workers(program, count=2):
    program.wake()
    return crew(program.process.pid, count)


def sockets(pid):
    return sum(fd_link(pid, fd).startswith("socket:") for fd in os.listdir(f"/proc/{pid}/fd"))


def sockets_at_rest(pid):
    """How many are left when those are gone who only came to wake it."""
    least = sockets(pid)
    for _ in range(20):
        time.sleep(0.01)
        least = min(least, sockets(pid))
    return least


class Count:
    """How many connections each worker has, beyond those sockets that it had at first."""

    def __init__(self, pids):
        self.first = {pid: sockets_at_rest(pid) for pid in pids}

    def now(self):
        return [sockets(pid) - first for pid, first in self.first.items()]


def is_served(client, text=b"x"):
    try:
        client.sendall(text)
        return receive_exactly(client, len(text)) == text
    except (AssertionError, BrokenPipeError, ConnectionResetError):
        return False


def served(program, count):
    clients = [program.connect() for _ in range(count)]
    for client in clients:
        equal(is_served(client), True, "a new client is served")
    return clients


def close_all(clients):
    for client in clients:
        client.close()


def one_by_one(program, count):
    return [served(program, 1)[0] for _ in range(count)]


def by_many(program, count):
    clients = []
    threads = [threading.Thread(target=lambda: clients.extend(one_by_one(program, count // 50))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return clients


def sanitized():
    with open(PORTERD, "rb") as file:
        return b"__asan_init" in file.read()


def become_porterd(listeners, arguments, limit):
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for number, (_, sock) in enumerate(listeners):
        os.dup2(sock.fileno(), 100 + number, inheritable=False)
    for number in range(len(listeners)):
        os.dup2(100 + number, 3 + number, inheritable=True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(listeners)),
                      LISTEN_FDNAMES=":".join(name for name, _ in listeners))
    os.environ.pop("JOURNAL_STREAM", None)
    if limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    command = WRAPPER + [PORTERD] + list(arguments)
    os.execvp(command[0], command)


def fork_porterd(listeners, arguments, limit=None):
    """porterd as a child that is given these sockets, by (name, socket), and so many descriptors."""
    child = os.fork()
    if child == 0:
        try:
            become_porterd(listeners, arguments, limit)
        finally:
            os._exit(127)
    return child


def listening(kind=STREAM):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(f"\0porterd-workers/{os.getpid()}/{time.monotonic_ns()}")
    if kind != DATAGRAM:
        sock.listen(1000)
    return sock


def directory_with(lines):
    directory = tempfile.TemporaryDirectory(prefix="porterd-config-")
    with open(os.path.join(directory.name, "porterd.conf"), "w") as file:
        file.write(lines)
    return directory


class Forked:
    """porterd on sockets that stay open when it ends, as with systemd."""

    def __init__(self, listeners, *arguments):
        self.listeners = listeners
        self.directory = directory_with("[Server]\nWorkers=2\n")
        self.arguments = [f"--config-dir={self.directory.name}", *arguments]
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        self.pid = fork_porterd(self.listeners, self.arguments)

    def ended(self):
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.pid = None
            equal(status, 0, "wait status")
        return pid != 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGTERM)
            _, status = os.waitpid(self.pid, 0)
            equal(status, 0, "wait status")
        self.directory.cleanup()


def connect_to(listener):
    client = socket.socket(socket.AF_UNIX, listener.type)
    client.settimeout(PATIENCE)
    if listener.type == DATAGRAM:
        client.bind("")
    client.connect(listener.getsockname())
    return client


class Manager:
    """In systemd's place: (process, text) of all that it is told by a program that starts meanwhile."""

    def __init__(self):
        self.told = []
        self.socket = socket.socket(socket.AF_UNIX, DATAGRAM)

    def __enter__(self):
        name = f"porterd-notify/{os.getpid()}"
        self.socket.bind(f"\0{name}")
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        os.environ["NOTIFY_SOCKET"] = f"@{name}"
        return self

    def __exit__(self, *_):
        del os.environ["NOTIFY_SOCKET"]
        self.socket.close()

    def listen(self, seconds):
        """One more message, within so many seconds."""
        self.socket.settimeout(seconds)
        text, control, _, _ = self.socket.recvmsg(4096, 64)
        self.told.append((int.from_bytes(control[0][2][:4], sys.byteorder), text.decode()))

    def hears(self, wanted, seconds=PATIENCE):
        """Has it been told that, or is it within so many seconds?"""
        end = time.monotonic() + seconds
        while not any(wanted in text for _, text in self.told):
            try:
                self.listen(max(0.001, end - time.monotonic()))
            except (BlockingIOError, TimeoutError):
                return False
        return True

    def hear(self, wanted):
        equal(self.hears(wanted), True, f"it is told {wanted!r}, of {self.told}")
