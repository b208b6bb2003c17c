#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rooms of src/: who uses whom, as src/README.md's table says, file by file and without a circle, by includes and by
calls; and what only one room may call."""

import os
import re
import sys

ROOT = os.environ.get("TOP_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import *  # noqa: E402

SOURCE = os.path.join(ROOT, "src")


def table():
    """Each room of the map, in its order, with the rooms that it may use."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as readme:
        rows = re.findall(r"^\| `src/(\S+)/` \|.*\| *([^|]*?) *\|$", readme.read(), re.MULTILINE)
    return {room: {other for other in uses.replace(" ", "").split(",") if other} for room, uses in rows}


ROOMS = table()
# Rooms that other rooms are built on: they neither speak to people nor end the program.
LIBRARIES = ("base", "kernel", "record", "varlink", "libporter", "limits", "serve", "services", "handover", "crew",
             "opener/policy", "opener/deciding", "opener/opening", "opener/serving")
# A worker is forked, and ends where its own work does.
EXCEPTIONS = {("crew/worker_slot.c", "exit"), ("crew/worker_slot.c", "_exit")}


def node(path):
    """A file and its header are one."""
    return re.sub(r"\.[ch]$", "", path)


def room_of(path):
    """The innermost room of the map."""
    return max((room for room in ROOMS if path.startswith(room + "/")), key=len, default=None)


def files(rooms=None):
    """Path below src/, and text without comments, of every C file, or of those of some rooms."""
    for directory, _, names in os.walk(SOURCE):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(directory, name), SOURCE)
            if name.endswith((".c", ".h")) and (rooms is None or room_of(path) in rooms):
                with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                    yield path, re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)


def includes():
    """Which nodes each includes."""
    graph = {}
    for path, text in files():
        graph.setdefault(node(path), set()).update(
            node(included) for included in re.findall(r'^\s*#\s*include\s*"([^"]*)"', text, re.MULTILINE)
            if not included.endswith(".inc"))
    return graph


def symbols():
    """Who defines each symbol, and what the objects of each node need."""
    if not shutil.which("nm"):
        raise Skip("no nm to look into objects")
    defines, needs, built = {}, {}, set()
    for directory, _, names in os.walk(os.path.join(BUILD, "src")):
        for name in names:
            # Of a program's or library's own flags the object has its name in front.
            path = os.path.relpath(os.path.join(directory, re.sub(r"^(\w+-)?", "", name)), os.path.join(BUILD, "src"))
            owner = path[:-len(".o")].replace("/.libs/", "/")
            if not name.endswith(".o") or not os.path.exists(os.path.join(SOURCE, owner + ".c")):
                continue
            # What nm can't read has no symbols, and is missed below.
            listed = subprocess.run(["nm", os.path.join(directory, name)], stdout=subprocess.PIPE, check=False)
            for words in map(str.split, listed.stdout.decode().splitlines()):
                if len(words) == 2 and words[0] == "U":
                    needs.setdefault(owner, set()).add(words[1])
                elif len(words) == 3 and words[1] in "TDBRVWC":
                    defines.setdefault(words[2], set()).add(owner)
                    built.add(owner)
    missed = sorted({node(path) for path, _ in files() if path.endswith(".c")} - built)
    if missed:
        raise Skip(f"no symbols to be seen in {BUILD} of {len(missed)} files: {', '.join(missed)}")
    return defines, needs


def calls():
    """Which nodes each uses when it is linked."""
    defines, needs = symbols()
    return {owner: set().union(*(defines.get(symbol, ()) for symbol in wanted)) - {owner}
            for owner, wanted in needs.items()}


def circles(graph):
    """Every set of nodes in which each leads to each, by Tarjan's algorithm."""
    order, lowest, stack, found = {}, {}, [], []

    def visit(one):
        order[one] = lowest[one] = len(order)
        stack.append(one)
        for other in sorted(graph.get(one, ())):
            if other not in order:
                visit(other)
                lowest[one] = min(lowest[one], lowest[other])
            elif other in stack:
                lowest[one] = min(lowest[one], order[other])
        if lowest[one] == order[one]:
            circle = stack[stack.index(one):]
            del stack[stack.index(one):]
            if len(circle) > 1:
                found.append(sorted(circle))

    for one in sorted(graph):
        if one not in order:
            visit(one)
    return found


def complain(faults):
    if faults:
        raise AssertionError("\n".join(faults))


def keep_to_the_table(graph, verb):
    complain([f"{one} {verb} {other}: {room_of(one)} may not use {room_of(other)}"
              for one, others in sorted(graph.items()) for other in sorted(others)
              if room_of(other) not in ROOMS.get(room_of(one), set()) | {room_of(one)}])


@test
def every_file_has_a_room_and_every_room_a_file():
    complain([f"{path} is in no room of src/README.md" for path, _ in files() if not room_of(path)])
    complain([f"src/README.md has a row for {room}, in which there is no file"
              for room in sorted(set(ROOMS) - {room_of(path) for path, _ in files()})])
    complain([f"{room} may use {other}, which src/README.md does not have" for room, others in ROOMS.items()
              for other in others if other not in ROOMS])


@test
def arrows_point_down_the_table():
    order = list(ROOMS)
    complain([f"{room} may use {other}, which does not stand below it" for room, others in ROOMS.items()
              for other in others if other in ROOMS and order.index(other) <= order.index(room)])


@test
def includes_are_files_of_ours():
    faults = []
    for path, text in files():
        for included in re.findall(r'^\s*#\s*include\s*"([^"]*)"', text, re.MULTILINE):
            if not os.path.exists(os.path.join(SOURCE, re.sub(r"\.inc$", "", included))):
                faults.append(f"{path}: \"{included}\" is no file of src/")
        for included in re.findall(r"^\s*#\s*include\s*<([^>]*)>", text, re.MULTILINE):
            if os.path.exists(os.path.join(SOURCE, included)):
                faults.append(f"{path}: <{included}> is a file of ours")
    complain(faults)


@test
def includes_keep_to_the_table():
    keep_to_the_table(includes(), "includes")


@test
def calls_keep_to_the_table():
    keep_to_the_table(calls(), "calls")


@test
def no_circle_of_includes():
    complain([f"each includes the next, and the last the first: {', '.join(circle)}" for circle in circles(includes())])


@test
def no_circle_of_calls():
    """Nor one of both together."""
    graph = calls()
    for one, others in includes().items():
        graph.setdefault(one, set()).update(others)
    complain([f"each uses the next, and the last the first: {', '.join(circle)}" for circle in circles(graph)])


@test
def circles_are_found():
    equal(circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set()}), [["a", "b", "c"]])
    equal(circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}), [])


@test
def sockets_are_read_and_written_in_one_place():
    found = re.compile(r"\b(recv|recvfrom|recvmsg|recvmmsg|send|sendto|sendmsg|sendmmsg)\(")
    # The benchmark's bare loops are these calls and nothing else.
    complain([f"{path}: {call}() belongs into kernel/sockio" for path, text in files()
              for call in found.findall(text) if path != "kernel/sockio.c" and room_of(path) != "bench"])


@test
def libraries_do_not_speak_or_exit():
    found = re.compile(r"\b(v?printf|v?fprintf|puts|perror|v?syslog|sd_journal_\w+|_?exit|abort|errx?|warnx?)\(")
    complain([f"{path}: {call}() has no place in a library" for path, text in files(LIBRARIES)
              for call in found.findall(text) if (path, call) not in EXCEPTIONS])


main()
