#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every system call that the programs make under the other tests is one that their units let through. The tests run
without units, and a call that is refused there would only be missed on a system with seccomp."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from harness import *

HERE = os.path.dirname(os.path.abspath(__file__))
# What has a second way where it is refused: src/kernel/return_address.c.
DISPENSABLE = {"porterd": {"openat2"}}
TESTS = ("files.t", "varlink.t", "credentials.t", "echo-packet.t", "echo-stream.t",
         "workers.t files_come_from_each_worker",
         "workers-lifetime.t a_worker_that_dies_takes_its_own_connections_and_no_others exit_on_idle_when_all_are_idle")


def expand(name):
    """The system calls of a group such as @system-service, as systemd knows them."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], stdout=subprocess.PIPE, check=True).stdout.decode()
    calls = set()
    for line in said.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            calls |= expand(word)
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def allowed_by(unit):
    """What a unit's SystemCallFilter= lines let through, as systemd.exec(5) reads them: an allow list first.
    RestrictSUIDSGID= can't look into the flags of openat2(2) and takes it away."""
    allowed = expand("@default")
    lines = open(os.path.join(SOURCE, "units", unit)).readlines()
    for line in lines:
        if line.startswith("SystemCallFilter="):
            value = line.split("=", 1)[1].strip()
            names = set().union(*(expand(n) if n.startswith("@") else {n} for n in value.lstrip("~").split()))
            allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed - {"openat2"} if "RestrictSUIDSGID=yes\n" in lines else allowed


def trace():
    """The calls that each program made, by name of the program."""
    directory = tempfile.mkdtemp(prefix="porterd-strace-")
    try:
        environment = dict(os.environ, PROGRAM_WRAPPER=f"strace -D -ff -o {directory}/trace", TEST_PATIENCE="60")
        for test in TESTS:
            name, *only = test.split()
            subprocess.run([sys.executable, os.path.join(HERE, name), *only], env=environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        texts = {path.rsplit(".", 1)[1]: open(path, errors="replace").read() for path in glob.glob(f"{directory}/*")}
        programs = {pid: re.match(r'execve\("[^"]*/([\w-]+)"', text) for pid, text in texts.items()}
        calls = {}
        for pid, text in texts.items():
            if programs[pid]:
                name = programs[pid].group(1)
                # Workers, too, which execute nothing.
                children = [child for child in re.findall(r"^v?(?:fork|clone3?)\(.*= (\d+)$", text, re.MULTILINE)
                            if child in texts and not programs[child]]
                for one in [text] + [texts[child] for child in children]:
                    calls.setdefault(name, set()).update(re.findall(r"^(\w+)\(", one, re.MULTILINE))
        return calls
    finally:
        shutil.rmtree(directory)


@test
def units_let_through_what_their_programs_call():
    if WRAPPER:
        raise Skip("something else is in front of the programs already")
    if b"__asan_" in open(PORTERD, "rb").read():
        raise Skip("sanitizers make calls of their own")
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    calls = trace()
    for program, unit in (("porterd", "porterd.service.in"), ("porterd-opener", "porterd-opener.service.in")):
        if len(calls.get(program, ())) < 30:
            raise AssertionError(f"hardly any calls of {program} were seen: {calls.get(program)}")
        if program == "porterd" and "prctl" not in calls[program]:
            raise AssertionError("calls of workers were not seen")
        refused = calls[program] - allowed_by(unit) - DISPENSABLE.get(program, set())
        equal(sorted(refused), [], f"calls of {program} that {unit} refuses")


main()
