#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manuals: that they are well-formed, and that they say neither less nor more than there is. What their
examples do is tried in booted systems (tests/system/inside/test_examples.py)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import BUILD, SOURCE, Skip, equal, main, test

PROGRAMS = {"porterctl.1": "porterctl", "porterd.8": "porterd", "porterd-opener.8": "porterd-opener"}
# Manuals of others that ours may point to.
OTHERS = """pg_ctlcluster(1) pkg-config(1) socat(1) systemctl(1) varlinkctl(1) bind(2) close(2) connect(2) execve(2)
    fcntl(2) fork(2) ftruncate(2) ioctl(2) open(2) openat2(2) recvmsg(2) socketpair(2) errno(3) free(3)
    sd_listen_fds(3) sd_listen_fds_with_names(3) journald.conf(5) systemd.exec(5) systemd.service(5)
    systemd.socket(5) systemd.unit(5) glob(7) unix(7)""".split()


def source(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


NAMES = sorted(name[:-4] for name in os.listdir(os.path.join(SOURCE, "man")) if name.endswith(".scd"))
TEXTS = {name: source("man", f"{name}.scd") for name in NAMES}


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def sections(text):
    """The text of each section by its heading, without the blocks."""
    parts = re.split(r"^# (.*)\n", without_blocks(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def plain(text):
    """As the reader sees a line: without marks, and with single blanks."""
    return " ".join(re.sub(r"\\(.)|[*_]", r"\1", text).split())


def built(name):
    path = os.path.join(BUILD, "man", name)
    if not shutil.which("scdoc") and not os.path.exists(path):
        raise Skip("scdoc is not installed")
    return path


@test
def every_manual_is_built_and_shipped():
    debian = "".join(source("debian", name) for name in os.listdir(os.path.join(SOURCE, "debian"))
                     if name.endswith(".manpages")) if os.path.isdir(os.path.join(SOURCE, "debian")) else None
    readme = source("README.md")
    for name in NAMES:
        equal(os.path.exists(built(name)), True, f"{name} is built")
        stem, section = name.rsplit(".", 1)
        equal(f"{stem}({section})" in readme, True, f"{name} is in README.md")
        if debian is not None:
            equal(f"/{name}\n" in debian or f"/man{section}/*\n" in debian, True, f"{name} is in debian/")


PAGES = ("README.md", "CONTRIBUTING.md", "NEWS.md", "src/README.md")


@test
def links_of_the_pages_lead_to_files():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", source(page)):
            path = os.path.join(SOURCE, os.path.dirname(page), target)
            equal(os.path.exists(path), True, f"{page}: {target}")


@test
def changes_have_every_version():
    versions = re.findall(r"^## (\S+) \(", source("NEWS.md"), re.MULTILINE)
    built_one = re.search(r"AC_INIT\(\[porterd\], \[([^]]+)\]", source("configure.ac"))[1]
    equal(built_one in versions, True, f"{built_one} is in NEWS.md")
    if os.path.isdir(os.path.join(SOURCE, "debian")):
        packaged = re.findall(r"^porterd \((\S+)-\d+\) ", source("debian", "changelog"), re.MULTILINE)
        equal(versions, packaged, "versions in NEWS.md and debian/changelog")


@test
def groff_has_nothing_to_say():
    if not shutil.which("man"):
        raise Skip("man is not installed")
    for name in NAMES:
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", built(name)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                              env=dict(os.environ, MAN_DISABLE_SECCOMP="1", LC_ALL="C.UTF-8"))
        equal((done.returncode, done.stderr), (0, ""), name)


@test
def mandoc_has_nothing_to_say():
    """But for the paragraphs that scdoc begins before a heading or a list, which have no effect."""
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not installed")
    for name in NAMES:
        done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", built(name)], stdout=subprocess.PIPE, text=True,
                              check=False)
        said = [line for line in done.stdout.splitlines() if "WARNING: skipping paragraph macro: PP" not in line]
        equal(said, [], name)


@test
def usual_sections():
    for name in NAMES:
        found = list(sections(TEXTS[name]))
        equal(found[0], "NAME", f"first section of {name}")
        equal(found[-1], "SEE ALSO", f"last section of {name}")
        equal("DESCRIPTION" in found, True, f"{name} has a description")
        # One is nothing but examples, the other an argument.
        if name not in ("porterd-examples.7", "porterd-security.7"):
            equal(any(heading.startswith("EXAMPLE") for heading in found), True, f"{name} has examples")


@test
def cross_references_lead_somewhere():
    own = {f"{name.rsplit('.', 1)[0]}({name.rsplit('.', 1)[1]})" for name in NAMES}
    own |= {f"{function}(3)" for function in re.findall(r"\bporter_\w+(?=\()", source("src", "libporter", "porter.h"))}
    pointed = set()
    for name in NAMES:
        text = without_blocks(TEXTS[name]).replace("\\", "")
        references = re.findall(r"\*([\w.-]+)\*\((\d)\)", text)
        for stem, section in references:
            equal(f"{stem}({section})" in own or f"{stem}({section})" in OTHERS, True, f"{name}: {stem}({section})")
        pointed |= {f"{stem}({section})" for stem, section in references if f"{stem}.{section}" != name}
        # *SECTION* in this manual, or in the one that it is said to be in.
        for heading, _, stem, section in re.findall(r"\*([A-Z][A-Z ]{3,})\*(\s+in\s+\*([\w.-]+)\*\((\d)\))?", text):
            there = f"{stem}.{section}" if stem else name
            if there in TEXTS and heading != "NULL" and not heading.startswith("SIG"):
                equal(" ".join(heading.split()) in sections(TEXTS[there]), True, f"{name}: section {heading} of {there}")
    equal(sorted(name for name in own if "porter_" not in name and name not in pointed), [], "manuals nobody points to")


@test
def tests_that_are_named_are_there():
    groups = re.findall(r"\[_(.*?)_\]", TEXTS["porterd-security.7"], re.DOTALL)
    names = [" ".join(name.split()) for group in groups for name in re.split(r"_,\s_", group)]
    equal(len(names) > 10, True, f"tests are named: {names}")
    for name in names:
        group, _, function = name.removeprefix("system: ").partition(": ")
        if group == name:
            path = os.path.join(SOURCE, name)
            equal(os.path.exists(path) or os.path.exists(f"{path}.c"), True, name)
        else:
            text = source("tests", "system", "inside", f"test_{group}.py")
            equal(f"\ndef {function.replace(' ', '_')}" in text, True, name)


def help_of(program):
    return subprocess.run([os.path.join(BUILD, program), "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout


@test
def options_are_those_of_help():
    for name, program in PROGRAMS.items():
        said = set(re.findall(r"^ +(--[a-z-]+)", help_of(program), re.MULTILINE))
        written = set()
        for line in without_blocks(TEXTS[name]).splitlines():
            if re.match(r"\*-", line):
                written |= set(re.findall(r"--[a-z-]+", line))
        equal(sorted(written), sorted(said), f"options of {program}")
        equal("--help" in said and "--version" in said, True, f"usual options of {program}")


@test
def verbs_are_those_of_help():
    said = re.findall(r"^  ([a-z]+) +(.*?)  ", re.search(r"Verbs:\n(.*?)\n\n", help_of("porterctl"), re.DOTALL)[1],
                      re.MULTILINE)
    parts = sections(TEXTS["porterctl.1"])
    equal(set(re.findall(r"^\*([a-z]+)\*", parts["VERBS"], re.MULTILINE)), {verb for verb, _ in said}, "verbs")
    synopsis = re.findall(r"^\*porterctl\* \[_OPTION_\.\.\.\] \*([a-z]+)\*", parts["SYNOPSIS"], re.MULTILINE)
    equal(synopsis, [verb for verb, _ in said], "verbs of the synopsis")


@test
def keys_are_those_of_the_policy_and_the_settings():
    written = re.findall(r"^\*(\w+)=\*", sections(TEXTS["porterd-files.conf.5"])["KEYS"], re.MULTILINE)
    keys = re.findall(r"^\s*\[KEY_\w+\] = \"(\w+)\"", source("src", "opener", "policy", "raw.c"), re.MULTILINE)
    equal(len(keys) > 5, True, "keys are found in raw.c")
    equal(sorted(written), sorted(keys), "keys of the policy")

    written = re.findall(r"^\*(\w+)=\*", TEXTS["porterd.conf.5"], re.MULTILINE)
    keys = re.findall(r"^\s*\{ \"(\w+)\", \d+, \w+,", source("src", "porterd", "config.c"), re.MULTILINE)
    equal(len(keys) > 1, True, "keys are found in config.c")
    equal(sorted(written), sorted(keys), "settings")


# Described for every service, and never sent by this one.
STANDARD_NEVER = {"ExpectedMore", "ExpectedUpgrade"}


@test
def every_varlink_method_and_error_with_its_parameters():
    parts = sections(TEXTS["porterd-varlink.7"])
    for directory, interface in (("varlink", "org.varlink.service"), ("services", "io.porterd.Credentials"),
                                 ("services", "io.porterd.Files")):
        described = re.sub(r"#.*", "", source("src", directory, f"{interface}.varlink"))
        written = [plain(line) for line in re.findall(r"^\*[A-Z]\w+\*\(.*?(?=\n\t)", parts[interface.upper()],
                                                      re.MULTILINE | re.DOTALL)]
        members = []
        for kind, name, taken, given in re.findall(r"^(method|error) (\w+)\s*\(([^)]*)\)(?: -> \(([^)]*)\))?", described,
                                                   re.MULTILINE):
            if name in STANDARD_NEVER:
                continue
            members.append(f"{name}({plain(taken)})" + (f" -> ({plain(given)})" if kind == "method" else ""))
        equal(sorted(written), sorted(members), interface)
        for name, fields in re.findall(r"^type (\w+) \(([^)]*)\)", described, re.MULTILINE):
            for field, kind in re.findall(r"(\w+): ([][?\w]+)", fields):
                equal(f"_{field}_: {kind}" in parts[interface.upper()], True, f"{interface}.{name}: {field}: {kind}")


@test
def fields_and_ids_of_records():
    written = plain(without_blocks(TEXTS["porterd-opener.8"]))
    records = source("src", "opener", "serving", "audit.c") + source("src", "record", "record.c")
    fields = set(re.findall(r"\"(PORTERD_[A-Z_]+?)=?\"", records))
    equal(len(fields) > 10, True, "fields are found in audit.c")
    for field in fields:
        equal(f"{field}=" in written, True, f"{field}= is in porterd-opener(8)")
    ids = set(re.findall(r"[0-9a-f]{32}", source("src", "record", "message_id.h")))
    for name in NAMES:
        equal(set(re.findall(r"\b[0-9a-f]{32}\b", TEXTS[name])) <= ids, True, f"MESSAGE_IDs of {name}")
    equal(set(re.findall(r"[0-9a-f]{32}", TEXTS["porterd.8"])), ids, "MESSAGE_IDs of porterd.8")


main()
