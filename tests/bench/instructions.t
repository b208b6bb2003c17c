#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many instructions porterd needs for one message, call and file, beside what was recorded.

Time depends on what else the machine does; instructions do not, so a change for the worse shows. They depend on the
compiler and the libraries: instructions.txt has a line for each combination that was recorded. For a new one, or after
a change that is worth its price: TEST_RECORD=yes instructions.t prints the line that belongs there."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import *

OPENER = os.path.join(BUILD, "porterd-opener")
RECORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.txt")
PATHS = ("echo", "get", "open")
# More than the record by so much is a fault, and less by so much is a record to be renewed.
ALLOWANCE = 0.05
FEW, MANY = 100, 700
RUNS = 2


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout.decode()


def made_with(variable):
    with open(os.path.join(BUILD, "Makefile")) as makefile:
        return re.search(rf"^{variable} = (.*)$", makefile.read(), re.MULTILINE).group(1).strip()


def library_versions():
    """Of the libraries that the instructions are spent in: their files' own names, which hold the version."""
    libraries = output_of("ldd", PORTERD)
    names = []
    for library in ("libjansson", "libsystemd", "libc"):
        path = re.search(rf"=> (\S*/{library}\.so\S*)", libraries)
        names.append(os.path.basename(os.path.realpath(path.group(1))) if path else f"no {library}")
    names[-1] = "libc " + ".".join(re.findall(r"\d+", os.confstr("CS_GNU_LIBC_VERSION"))[:2])
    return names


def combination():
    """What the counts depend on, as one text."""
    compiler = made_with("CC")
    version = output_of(*compiler.split(), "--version").splitlines()[0]
    return ", ".join([os.uname().machine, version, made_with("CFLAGS"), made_with("SANITIZER_CFLAGS") or "plain"] +
                     library_versions())


def records():
    with open(RECORDS) as file:
        lines = [line.rstrip("\n").split("\t") for line in file if line.strip() and not line.startswith("#")]
    return {line[0]: dict(zip(PATHS, map(int, line[1:]))) for line in lines}


def run_once(name, arguments, exchange, count):
    """Instructions of a whole porterd with `count` exchanges on one connection."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        # What sd-event does, once a second, is none of an exchange.
        wrapper = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
                   "--toggle-collect=sd_event_run", "--collect-atstart=yes"]
        with Program(name=name, arguments=arguments, wrapper=wrapper) as program:
            with program.connect() as client:
                client.settimeout(60)
                for _ in range(count):
                    exchange(client)
            program.terminate()
            program.process.wait(60)
        with open(out) as file:
            return int(re.search(r"^totals: (\d+)", file.read(), re.MULTILINE).group(1))


def measure(name, exchange, arguments=("--exit-idle=0",)):
    """Instructions of one exchange: what many of them cost more than few. The least of some runs: a status that is
    told in between comes on top."""
    few = min(run_once(name, arguments, exchange, FEW) for _ in range(RUNS))
    many = min(run_once(name, arguments, exchange, MANY) for _ in range(RUNS))
    return round((many - few) / (MANY - FEW))


def echo(client):
    client.sendall(b"e" * 64)
    equal(receive_exactly(client, 64), b"e" * 64)


def get(client):
    reply = Varlink(client).call("io.porterd.Credentials.Get")
    equal(reply["parameters"]["credentials"]["pid"], os.getpid())


def open_file(client):
    varlink = Varlink(client)
    equal(varlink.call("io.porterd.Files.Open", {"file": "file"}), {"parameters": {"descriptor": 0}})
    for fd in varlink.fds:
        os.close(fd)


def measure_open():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        with open(path, "w") as file:
            file.write("content")
        with open(os.path.join(directory, "files.conf"), "w") as policy:
            policy.write(f"[file]\nPath={path}\nAllowUser={os.geteuid()}\n")
        os.chmod(policy.name, 0o644)
        with Program(SEQPACKET, "opener", program=OPENER, arguments=[f"--config-dir={directory}"], wrapper=[]) as opener:
            return measure("varlink", open_file, ("--exit-idle=0", f"--opener={opener.path}"))


MEASURES = {"echo": lambda: measure("echo", echo), "get": lambda: measure("varlink", get), "open": measure_open}


def check(path):
    if WRAPPER:
        raise Skip("not in front of a program that is counted by valgrind already")
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    if made_with("SANITIZER_CFLAGS"):
        raise Skip("a sanitizer's instructions are not the program's")
    recorded = records().get(combination())
    if not recorded:
        raise Skip(f"nothing is recorded for {combination()}")
    counted = MEASURES[path]()
    print(f"# {path}: {counted} instructions, recorded {recorded[path]}", flush=True)
    if counted > recorded[path] * (1 + ALLOWANCE):
        raise AssertionError(f"{path} needs {counted} instructions, {recorded[path]} are recorded")
    if counted < recorded[path] * (1 - ALLOWANCE):
        raise AssertionError(f"{path} needs only {counted} instructions, {recorded[path]} are recorded: "
                             "renew the record (TEST_RECORD=yes)")


@test
def instructions_of_an_echo():
    check("echo")


@test
def instructions_of_a_get():
    check("get")


@test
def instructions_of_an_open():
    check("open")


if os.environ.get("TEST_RECORD"):
    print("\t".join([combination()] + [str(MEASURES[path]()) for path in PATHS]))
else:
    main()
