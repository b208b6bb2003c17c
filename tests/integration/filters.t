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
TESTS = ("files.t", "varlink.t", "credentials.t", "echo-packet.t", "echo-stream.t")


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
        for name in TESTS:
            subprocess.run([sys.executable, os.path.join(HERE, name)], env=environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        calls = {}
        for path in glob.glob(f"{directory}/*"):
            text = open(path, errors="replace").read()
            program = re.match(r'execve\("[^"]*/([\w-]+)"', text)
            if program:
                calls.setdefault(program.group(1), set()).update(re.findall(r"^(\w+)\(", text, re.MULTILINE))
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
        refused = calls[program] - allowed_by(unit) - DISPENSABLE.get(program, set())
        equal(sorted(refused), [], f"calls of {program} that {unit} refuses")


main()
