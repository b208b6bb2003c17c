#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""porterctl bench: every case runs, what it prints is what was measured, and a server that is wrong is found out."""

import glob
import os
import pty
import resource
import select
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import *

PORTERCTL = os.path.join(BUILD, "tests", "porterctl", "porterctl")
OPENER = os.path.join(BUILD, "porterd-opener")
FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_porterd.py")
# The clients of the largest case are one process.
DESCRIPTORS = 10100
MANY = ("echo-10000", "memory-echo", "memory-varlink")
TRANSPORTS = ("tcp", "unix-stream", "unix-seqpacket", "unix-datagram", "pipe", "fifo", "mqueue", "shared-memory")


def bench(*arguments, porterd=PORTERD, opener=OPENER, duration="0.02", **options):
    """Exit status, stdout and stderr, after looking whether anything was left behind."""
    directory = tempfile.mkdtemp(prefix="bench-test-")
    try:
        done = subprocess.run([PORTERCTL, "bench", f"--porterd={porterd}", f"--opener={opener}",
                               f"--duration={duration}"] + list(arguments), check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE * 12,
                              env=dict(os.environ, TMPDIR=directory), **options)
        equal(os.listdir(directory), [], "left in TMPDIR")
    finally:
        shutil.rmtree(directory)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def bench_json(*arguments, **options):
    status, output, errors = bench("--json", *arguments, **options)
    equal((status, errors), (0, ""), "exit status and stderr")
    return json.loads(output)


def names():
    """All cases, as the program lists them for a pattern that fits none."""
    status, output, errors = bench("--case=")
    equal((status, output), (2, ""))
    return [line.split()[0] for line in errors.partition("porterctl: ")[0].splitlines()[1:]]


def positive(figures, *keys):
    for key in keys:
        if not figures[key] > 0:
            raise AssertionError(f"{key} is {figures[key]}")


def check_side(side):
    positive(side, "rate", "p50Nsec", "p99Nsec", "p999Nsec")
    if not side["p50Nsec"] <= side["p99Nsec"] <= side["p999Nsec"]:
        raise AssertionError(f"quantiles out of order: {side}")
    # In a moment that is as short as here an idle server may have used none that could be counted.
    if side["serverNsecEach"] < 0:
        raise AssertionError(f"CPU time: {side}")


def check_case(case):
    if case["case"].startswith("memory"):
        positive(case, "pssKiB", "bytesEach")
        equal(case["reached"], case["pssKiB"] <= case["pssKiBReach"] and case["bytesEach"] <= case["bytesEachReach"])
        return
    # Each side is the first in half of them.
    if case["rounds"] < 8 or case["rounds"] % 2 != 0:
        raise AssertionError(f"{case['rounds']} rounds")
    positive(case, "ratio")
    check_side(case["porterd"])
    check_side(case["other"])


@test
def every_case_is_listed():
    listed = names()
    equal(len(set(listed)), len(listed), "names")
    equal([name for name in TRANSPORTS if name not in listed], [], "transports that are not listed")


def usual_descriptors():
    """What a login shell or a package's build allows without being asked for more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@test
def every_case_of_the_daemon_runs():
    usual_descriptors()
    for name in names():
        if name in TRANSPORTS + MANY:
            continue
        report = bench_json(f"--case={name}")
        equal([case["case"] for case in report["cases"]], [name])
        equal(report["transports"], [])
        check_case(report["cases"][0])


@test
def cases_with_many_connections_run():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < DESCRIPTORS:
        raise Skip(f"a process may not have {DESCRIPTORS} descriptors here")
    usual_descriptors()
    for name in MANY:
        case = bench_json(f"--case={name}")["cases"][0]
        equal(case["case"], name)
        check_case(case)
    # The growth is that to another case, and told only beside it.
    cases = {case["case"]: case for case in bench_json("--case=echo-10*")["cases"]}
    equal(sorted(cases), ["echo-1000", "echo-10000"])
    wanted = cases["echo-10000"]["porterd"]["serverNsecEach"] / cases["echo-1000"]["porterd"]["serverNsecEach"]
    if abs(cases["echo-10000"]["cpuGrowth"] / wanted - 1) > 0.001:
        raise AssertionError(f"growth {cases['echo-10000']['cpuGrowth']}, should be {wanted}")


@test
def every_transport_runs():
    for name in TRANSPORTS:
        report = bench_json(f"--case={name}")
        equal([one["transport"] for one in report["transports"]], [name])
        equal(report["cases"], [])
        positive(report["transports"][0], "p50Nsec", "p99Nsec", "p999Nsec", "bytesPerSecond")


@test
def verdicts_are_those_of_the_figures():
    for case in bench_json("--case=echo-bulk")["cases"] + bench_json("--case=get")["cases"]:
        reached = case["ratio"] >= case["reach"] and case.get("cpuRatio", 0) <= case.get("cpuReach", 1)
        equal(case["reached"], reached, case["case"])
    case = bench_json("--case=start")["cases"][0]
    equal(case["reached"], case["ratio"] <= case["reach"], "start: less is better")


@test
def a_longer_time_is_taken_when_asked_for():
    begin = time.monotonic()
    bench_json("--case=echo", duration="1.4")
    took = time.monotonic() - begin
    if took < 1.4:
        raise AssertionError(f"a case of 1.4 s took {took:.2f} s")


@test
def text_names_each_case_and_figure():
    status, output, errors = bench("--case=echo")
    equal((status, errors), (0, ""))
    for word in ("echo 64 B ping-pong, 1 stream, Accept=no", "against: epoll loop", "ratio ", ">= 0.97",
                 "porterd", "other", "p99.9", "CPU"):
        if word not in output:
            raise AssertionError(f"{word!r} is not in {output!r}")


@test
def the_plot_is_svg_with_a_bar_for_each():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "plot.svg")
        status, _, errors = bench("--case=*p*", f"--plot={path}")
        equal((status, errors), (0, ""))
        root = xml.etree.ElementTree.parse(path).getroot()
        svg = "{http://www.w3.org/2000/svg}"
        equal(root.tag, f"{svg}svg")
        texts = [text.text for text in root.iter(f"{svg}text")]
        for text in ("pipe", "Unix seqpacket", "echo seqpacket 64 B", "Files.Open"):
            equal(text in texts, True, f"{text} in the plot")
        # One is the background.
        bars = [float(bar.get("width")) for bar in root.iter(f"{svg}rect") if not bar.get("width").endswith("%")]
        width = float(root.get("width"))
        equal(all(0 < bar < width for bar in bars), True, f"bars {bars} of {width}")
        status, _, errors = bench("--case=pipe", "--plot=/nonexistent/plot.svg")
        equal(status, 1, "a plot that can't be written")


def fails(fault, case, *words):
    """A porterd with this fault: the case fails, and says so by one of these."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, fault)
        shutil.copy(FAKE, path)
        os.chmod(path, 0o755)
        status, output, errors = bench(f"--case={case}", "--json", porterd=path)
        equal(status, 1, f"{fault}, {case}: {output} {errors}")
        if not any(word in errors for word in words) or not errors.startswith(f"{case}: porterd: "):
            raise AssertionError(f"{fault}, {case}: {errors!r}")
        equal(json.loads(output)["cases"][0]["failed"], "porterd")


@test
def a_server_without_fault_passes():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "no-fault")
        shutil.copy(FAKE, path)
        os.chmod(path, 0o755)
        for case in ("echo", "echo-1000", "echo-bulk", "connect", "datagram"):
            status, _, errors = bench(f"--case={case}", porterd=path)
            equal((status, errors), (0, ""), case)


@test
def content_that_is_wrong_fails():
    for case in ("echo", "echo-1000", "echo-bulk", "connect", "datagram"):
        fails("wrong-byte", case, "not what was sent")
        fails("swapped", case, "not what was sent")
    for case in ("echo", "datagram", "datagram-burst", "connect"):
        fails("stale", case, "not what was sent")
    # No Varlink at all, and the question itself is no answer.
    fails("no-fault", "get", "not what was sent")


@test
def a_server_that_leaves_fails():
    for case in ("echo", "echo-bulk", "connect"):
        # Reset, where something was unread.
        fails("leaves", case, "closed", "reset")


@test
def a_server_that_does_not_start_fails():
    fails("never-starts", "echo", "did not start")
    fails("never-starts", "start", "did not start")


@test
def a_program_that_is_missing_is_named():
    gone = "No such file or directory. "
    for case, options, told in (
            ("echo", {"porterd": "/no/such"}, f"porterd: can't run /no/such: {gone}Try: --porterd=PATH"),
            ("start", {"porterd": "/no/such"}, f"porterd: can't run /no/such: {gone}Try: --porterd=PATH"),
            ("open", {"opener": "/no/such"}, f"porterd: can't run /no/such: {gone}Try: --opener=PATH"),
            ("echo", {"porterd": "/"}, "porterd: can't run /: Permission denied. Try: --porterd=PATH")):
        status, output, errors = bench(f"--case={case}", "--json", **options)
        equal((status, errors), (1, f"{case}: {told}\n"))
        equal(json.loads(output)["cases"][0]["error"], told.partition(": ")[2])
        status, output, _ = bench(f"--case={case}", **options)
        equal((status, f"failed: {told}" in output), (1, True), output)


def staged(directory):
    """The programs as `make install` lays them out, and how porterctl is told of them."""
    for name, place in (("porterd", "sbin"), ("porterd-opener", "libexec"), ("porter-bench", "libexec"),
                        ("porterd-bench-empty", "libexec")):
        os.makedirs(os.path.join(directory, place), exist_ok=True)
        shutil.copy(os.path.join(BUILD, name), os.path.join(directory, place))
    return {"porterd": os.path.join(directory, "sbin", "porterd"),
            "opener": os.path.join(directory, "libexec", "porterd-opener")}


@test
def programs_that_are_installed_elsewhere_are_found():
    with tempfile.TemporaryDirectory() as directory:
        programs = staged(directory)
        for case in ("start", "open"):
            equal(bench_json(f"--case={case}", **programs)["cases"][0]["case"], case)
        # By itself it knows its neighbours.
        program = os.path.join(directory, "libexec", "porter-bench")
        done = subprocess.run([program, f"--porterd={programs['porterd']}", "--duration=0.02", "--case=[so][tp]*"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE * 12, check=False)
        equal((done.returncode, done.stderr), (0, b""))

        empty = os.path.join(directory, "libexec", "porterd-bench-empty")
        os.unlink(empty)
        status, _, errors = bench("--case=start", **programs)
        equal((status, errors), (1, f"start: the other side: can't run {empty}: No such file or directory. "
                                    "It belongs beside porter-bench\n"))


@test
def without_the_program_its_place_is_told():
    # Wrong usage, in case that it is installed here.
    done = subprocess.run([PORTERCTL, "bench", "--case="], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode == 2:
        raise Skip("porter-bench is installed")
    equal((done.returncode, done.stdout), (1, b""))
    told = re.fullmatch(r"porterctl: can't run (/.*/porterd/porter-bench): No such file or directory\. "
                        r"It may come in a package of its own\n", done.stderr.decode())
    equal(bool(told), True, done.stderr)


@test
def porter_bench_by_itself_tells_its_name():
    for arguments, status, told in ((["--version"], 0, "porter-bench "), (["--help"], 0, "See porterctl(1)"),
                                    (["--no-such"], 2, "porter-bench: "), (["word"], 2, "porter-bench: "),
                                    (["--duration=0"], 2, "porter-bench: --duration=0"),
                                    (["--case="], 2, "porter-bench: --case= fits no case")):
        done = subprocess.run([os.path.join(BUILD, "porter-bench"), *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        equal((done.returncode, told in done.stdout), (status, True), done.stdout)


@test
def an_interrupted_run_cleans_up():
    directory = tempfile.mkdtemp(prefix="bench-test-")
    try:
        process = subprocess.Popen([PORTERCTL, "bench", f"--porterd={PORTERD}", "--case=echo", "--duration=600"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=dict(os.environ, TMPDIR=directory))
        eventually(lambda: glob.glob(f"{directory}/*/socket-1"), "both servers are there")
        children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE * 6)
        equal(process.returncode, 1)
        equal("interrupted" in errors.decode(), True, errors)
        equal(os.listdir(directory), [], "left in TMPDIR")
        equal([child for child in children if os.path.exists(f"/proc/{child}")], [], "left children")
    finally:
        shutil.rmtree(directory)


@test
def a_terminal_sees_how_far_it_is():
    reader, writer = pty.openpty()
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen([PORTERCTL, "bench", f"--porterd={PORTERD}", "--case=echo", "--duration=0.05"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer,
                                   env=dict(os.environ, TMPDIR=directory))
        os.close(writer)
        seen = b""
        while select.select([reader], [], [], PATIENCE)[0]:
            try:
                seen += os.read(reader, 4096)
            except OSError:
                break
        equal(process.wait(PATIENCE), 0)
    os.close(reader)
    for round_ in (1, 8):
        equal(f"{round_} of 8".encode() in seen, True, f"{seen!r}")
    equal(seen.endswith(b"\r\033[K"), True, "the line is taken away")


@test
def wrong_usage_is_told():
    for arguments in (("--case=nothing-like-this",), ("--duration=0",), ("--duration=x",), ("--duration=-1",),
                      ("--duration=4000",), ("word",)):
        status, _, errors = bench(*arguments)
        equal(status, 2, f"{arguments}: {errors}")
    done = subprocess.run([PORTERCTL, "whoami", "--case=echo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    equal(done.returncode, 2, "options of bench with another verb")


main()
