#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rooms of src/: who includes whom, as README says, and what only one room may call."""

import os
import re
import sys

ROOT = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import *  # noqa: E402

SOURCE = os.path.join(ROOT, "src")

# A room may include its own headers and these rooms'.
ROOMS = {
    "base": (),
    "kernel": ("base",),
    "record": ("base", "kernel"),
    "varlink": ("base", "kernel"),
    "libporter": ("base", "kernel"),
    "opener": ("base", "kernel", "record"),
    "limits": ("base", "kernel"),
    "serve": ("base", "kernel", "record", "limits"),
    "services": ("base", "kernel", "record", "varlink", "limits", "serve"),
    "handover": ("base", "kernel", "record", "serve"),
    "crew": ("base", "kernel", "record", "serve"),
    "porterd": ("base", "kernel", "record", "varlink", "limits", "serve", "services", "handover", "crew"),
    "bench": ("base", "kernel"),
    "porterctl": ("base", "kernel", "libporter"),
}
# Rooms that other rooms are built on: they neither speak to people nor end the program.
LIBRARIES = ("base", "kernel", "record", "varlink", "libporter")


def rooms_of_readme():
    """The rooms in README's order: each uses what stands below it."""
    with open(os.path.join(ROOT, "src", "README.md"), encoding="utf-8") as readme:
        return re.findall(r"^\| `src/(\w+)/` \|", readme.read(), re.MULTILINE)


def files(*rooms):
    """Room, path and text without comments and strings' content of every C file."""
    for room in rooms:
        for directory, _, names in os.walk(os.path.join(SOURCE, room)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(directory, name)
                    with open(path, encoding="utf-8") as file:
                        yield room, path, re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)


def complain(faults):
    if faults:
        raise AssertionError("\n".join(faults))


@test
def every_room_is_known():
    here = {name for name in os.listdir(SOURCE) if any(files(name))}
    equal(here, set(ROOMS), "rooms in src/ that hold C")
    equal(set(rooms_of_readme()) - set(ROOMS) - {"python"}, set(), "rooms in README that are not there")


@test
def arrows_point_down_the_list_of_readme():
    order = rooms_of_readme()
    complain([f"{room} may use {other}, which does not stand below it in README"
              for room, others in ROOMS.items() for other in others if order.index(other) < order.index(room)])


@test
def includes_keep_to_the_rooms():
    faults = []
    for room, path, text in files(*ROOMS):
        for included in re.findall(r'^\s*#\s*include\s*"([^"]*)"', text, re.MULTILINE):
            other = included.split("/")[0]
            source = included[:-len(".inc")] if included.endswith(".inc") else included
            if not os.path.exists(os.path.join(SOURCE, source)):
                faults.append(f"{path}: \"{included}\" is no file of src/")
            elif other != room and other not in ROOMS[room]:
                faults.append(f"{path}: {room} may not include \"{included}\"")
        for included in re.findall(r"^\s*#\s*include\s*<([^>]*)>", text, re.MULTILINE):
            if os.path.exists(os.path.join(SOURCE, included)):
                faults.append(f"{path}: <{included}> is a file of ours")
    complain(faults)


@test
def sockets_are_read_and_written_in_one_place():
    calls = re.compile(r"\b(recv|recvfrom|recvmsg|recvmmsg|send|sendto|sendmsg|sendmmsg)\(")
    # The benchmark's bare loops are these calls and nothing else.
    complain([f"{path}: {call}() belongs into kernel/sockio" for room, path, text in files(*ROOMS)
              for call in calls.findall(text) if not path.endswith("/kernel/sockio.c") and room != "bench"])


@test
def libraries_do_not_speak_or_exit():
    calls = re.compile(r"\b(v?printf|v?fprintf|puts|perror|v?syslog|sd_journal_\w+|_?exit|abort|errx?|warnx?)\(")
    complain([f"{path}: {call}() has no place in a library" for _, path, text in files(*LIBRARIES)
              for call in calls.findall(text)])


main()
