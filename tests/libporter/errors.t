#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every error that an interface describes, wherever its .varlink file lies, and everything that has to know it: the
library, its header and manual, the manual of the interfaces, porterctl, and the Python module."""

import ctypes
import errno
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "porterctl"))

from fake import *

# Described for every service, and never sent by this one: its manual leaves them out.
NEVER_SENT = {"org.varlink.service.ExpectedMore", "org.varlink.service.ExpectedUpgrade"}
# Of porterctl(1): the service can't reach the process that opens files.
UNREACHABLE = {"io.porterd.Files.OpenerUnavailable"}


def source(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def described():
    """The full names of all errors of all interfaces."""
    found = []
    for path in glob.glob(os.path.join(SOURCE, "src", "**", "*.varlink"), recursive=True):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        interface = re.search(r"^interface (\S+)", text, re.MULTILINE)[1]
        found += [f"{interface}.{name}" for name in re.findall(r"^error (\w+)", text, re.MULTILINE)]
    return sorted(found)


ERRORS = described()


def table():
    """What each is in the library: name, errno value and words."""
    entries = re.findall(r'\bERROR\("([\w.]+)", (E\w+), \\\s*"([^"]+)"\)',
                         source("src", "libporter", "service_errors.h"))
    return {name: (number, words) for name, number, words in entries}


def each_once(names, place):
    equal(sorted(set(ERRORS) - set(names)), [], f"what {place} lacks")
    equal(sorted(names), ERRORS, f"errors of {place}")


def with_numbers(rows, place):
    """Rows of names and their errno value. A name may lack the interface if it is that of the one before."""
    numbers, interface = [], None
    for names, number in rows:
        for full, name in re.findall(r"(\b(?:\w+\.)+(?=[A-Z]))?\b([A-Z][a-z]\w+)\b", names):
            interface = full or interface
            numbers.append((interface + name, number))
    each_once([name for name, _ in numbers], place)
    for name, number in numbers:
        equal(number, table()[name][0], f"{name} of {place}")


@test
def interfaces_describe_errors():
    equal(len(ERRORS) >= 15 and len(set(ERRORS)) == len(ERRORS), True, f"errors of all interfaces: {ERRORS}")


@test
def the_library_has_each_in_its_table():
    each_once(table(), "service_errors.h")


@test
def the_library_returns_what_its_table_says():
    with open(os.path.join(BUILD, "Makefile"), encoding="utf-8") as makefile:
        if re.search(r"^SANITIZER_CFLAGS = *\S", makefile.read(), re.MULTILINE):
            raise Skip("a library with sanitizers can't be loaded into Python")
    library = ctypes.CDLL(os.path.join(BUILD, ".libs", "libporter.so"))
    for name, (number, _) in table().items():
        with Fake({LIST: refusal(name)}) as fake:
            porter, text = ctypes.c_void_p(), ctypes.c_void_p()
            equal(library.porter_connect(ctypes.byref(porter), fake.path.encode()), 0, "porter_connect()")
            got = library.porter_call(porter, LIST.encode(), None, ctypes.byref(text), None, None)
            library.porter_free(porter)
        equal(got, -getattr(errno, number), name)


@test
def the_header_has_each_with_its_number():
    text = re.search(r"The name in full, and what the call returned:(.*?)\*/", source("src", "libporter", "porter.h"),
                     re.DOTALL)[1]
    # A line, or several up to the number.
    with_numbers(re.findall(r"(.*?)-(E[A-Z0-9]+)", text.replace("*", ""), re.DOTALL), "porter.h")


@test
def the_manual_of_the_library_has_each_with_its_number():
    rows = re.findall(r"^\|  \*-(E\w+)\*\n:  (.*)\n", source("man", "libporter.3.scd"), re.MULTILINE)
    with_numbers([(names.replace("_", " "), number) for number, names in rows], "libporter(3)")


@test
def the_manual_of_the_interfaces_has_each():
    parts = re.split(r"^# (.*)\n", source("man", "porterd-varlink.7.scd"), flags=re.MULTILINE)
    parts = dict(zip(parts[1::2], parts[2::2]))
    for name in ERRORS:
        interface, _, error = name.rpartition(".")
        written = re.search(rf"^\*{error}\*\(", parts[interface.upper()], re.MULTILINE)
        equal(written is not None, name not in NEVER_SENT, f"{name} in porterd-varlink(7)")


@test
def porterctl_has_words_for_each():
    for name in ERRORS:
        with Fake({OPEN: refusal(name)}) as fake:
            status, output, errors = porterctl("cat", "key", socket_path=fake.path)
            equal((status, output), (3 if name in UNREACHABLE else 1, ""), name)
            words = table().get(name, ("", "(none)"))[1]
        equal(errors, f"porterctl: can't open key through {fake.path}: {words}\n", name)


@test
def the_python_module_has_a_class_for_each():
    sys.path.insert(0, os.path.join(SOURCE, "src", "python"))
    import porter
    from porter._errors import error_of_service

    for name in ERRORS:
        kind = type(error_of_service(name, {}))
        equal((kind.__name__, kind.__mro__[1]), (name.rpartition(".")[2], porter.Error), f"class of {name}")
        equal(kind is getattr(porter, kind.__name__) and kind.__name__ in porter.__all__, True, f"{name} is exported")
        equal(bool(kind.__doc__), True, f"{name} is documented")


main()
