#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libporter as a distribution takes it: what it exports and uses, and how programs are built with it."""

import contextlib
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "porterctl"))

from fake import *

LIBRARY = os.path.join(BUILD, ".libs", "libporter.so")
HEADER = os.path.join(SOURCE, "src", "libporter", "porter.h")
MAP = os.path.join(SOURCE, "src", "libporter", "libporter.map")
MANUAL = os.path.join(SOURCE, "man", "libporter.3.scd")

# A program has these of its own, or a process has only one of each: a library keeps away from them.
FORBIDDEN = re.compile(r"(__)?(v?[fd]?printf|puts|fputs|putchar|fputc|fwrite|perror|v?(err|warn)x?|v?syslog|openlog"
                       r"|_?[eE]xit|quick_exit|abort|error|assert_fail|raise|kill|signal|sigaction|sigprocmask"
                       r"|setenv|putenv|unsetenv|chdir|umask|setlocale|fork|system|popen)(_chk|_unlocked)?$|sd_")


def make_variable(name):
    """What the build's own makefile says: the compiler, and what it is called with."""
    with open(os.path.join(BUILD, "Makefile")) as makefile:
        found = re.search(rf"^{name} = ?(.*)$", makefile.read(), re.MULTILINE)
    return found.group(1).strip() if found else ""


def run(*command, environment=None, status=0):
    """Returns what it printed, and fails with that where the exit status is another."""
    done = subprocess.run(command, env=dict(os.environ, **(environment or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE * 12, check=False)
    output = done.stdout.decode(errors="replace")
    if done.returncode != status:
        raise AssertionError(f"{shlex.join(command)}: exit status {done.returncode}, {output:.2000}")
    return output


def without_sanitizers():
    if make_variable("SANITIZER_CFLAGS"):
        raise Skip("sanitizers bring names and data of their own")


def symbols(*options):
    """Pairs of type and name, as nm prints them."""
    return [line.split()[-2:] for line in run("nm", *options, LIBRARY).splitlines()]


def header_functions():
    with open(HEADER) as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    return sorted(re.findall(r"\b(porter_\w+)\(", text))


def compiler():
    """With what the library needs of its programs: sanitizers do, the counting of its lines does not."""
    flags = shlex.split(make_variable("SANITIZER_CFLAGS"))
    return shlex.split(make_variable("CC")) + ([] if "--coverage" in flags else flags)


# --- what the library is ---

@test
def what_the_header_declares_is_exported_and_nothing_else():
    wanted = header_functions()
    equal(len(wanted) >= 16, True, f"functions in the header: {wanted}")
    equal(sorted(name for kind, name in symbols("--dynamic", "--defined-only")),
          sorted([f"{name}@@LIBPORTER_0" for name in wanted] + ["LIBPORTER_0"]), "exported")
    with open(MAP) as file:
        text = file.read()
    equal(re.findall(r"\b(porter_\w+);", text), wanted, "names in the map, in order")


@test
def its_name_is_of_the_interface():
    equal(re.findall(r"SONAME.*\[(.*)\]", run("readelf", "--dynamic", LIBRARY)), ["libporter.so.0"])


@test
def it_does_not_print_or_log_or_end_the_program():
    without_sanitizers()
    used = [name.split("@")[0] for _, name in symbols("--dynamic", "--undefined-only")]
    equal({"connect", "recvmsg", "send"} <= set(used), True, f"used: {used}")
    equal([name for name in used if FORBIDDEN.match(name)], [], "used, and not for libraries")


@test
def it_has_no_state():
    without_sanitizers()
    # What every shared library brings: the compiler's own.
    own = {"__dso_handle", "__TMC_END__", "completed.0", "_edata", "_end", "__bss_start", "_DYNAMIC",
           "_GLOBAL_OFFSET_TABLE_", "__frame_dummy_init_array_entry", "__do_global_dtors_aux_fini_array_entry"}
    everything = symbols("--defined-only")
    if not any(kind in "tT" and name == "connection_call" for kind, name in everything):
        raise Skip("the library is stripped")
    equal([name for kind, name in everything if kind in "bBdDcCsSgG" and name not in own
           and not name.endswith(".rel.ro") and name not in relocated_constants()], [], "what can be written to")


def relocated_constants():
    """Tables of pointers: written by the dynamic linker alone, and then made read-only."""
    inside, names = None, set()
    sections = {number: name for number, name in re.findall(r"^ *\[ *(\d+)\] (\S+)",
                                                           run("readelf", "--wide", "--sections", LIBRARY), re.MULTILINE)}
    for line in run("readelf", "--wide", "--symbols", LIBRARY).splitlines():
        words = line.split()
        inside = sections.get(words[6]) if len(words) == 8 else None
        if inside and inside.startswith(".data.rel.ro"):
            names.add(words[7])
    return names


# --- how programs are built with it ---

@contextlib.contextmanager
def installed():
    """The library, its header and its description for pkg-config, in a directory of their own: yields that, and the
    environment for pkg-config and for the program."""
    with tempfile.TemporaryDirectory(prefix="porter-install-") as directory:
        os.chmod(directory, 0o755)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(["make", "-C", BUILD, f"DESTDIR={directory}", "install-libLTLIBRARIES",
                        "install-includeHEADERS", "install-pkgconfigDATA"], env=clean, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE * 12)
        found = {os.path.basename(path): root for root, _, files in os.walk(directory) for path in files}
        # As in a cross build: paths of the description are below a directory, even those that compilers know.
        yield directory, {"PKG_CONFIG_PATH": found["libporter.pc"], "PKG_CONFIG_SYSROOT_DIR": directory,
                          "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1", "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1",
                          "LD_LIBRARY_PATH": found["libporter.so.0.0.0"]}


def pkg_config(environment, *options):
    return shlex.split(run(make_variable("PKG_CONFIG"), *options, "libporter", environment=environment))


def example():
    """The program of the manual, as a reader sees it."""
    with open(MANUAL) as file:
        section = file.read().split("\n# EXAMPLE\n")[1].split("\n# ")[0]
    return re.search(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE).group(1).replace("\\\\", "\\")


@contextlib.contextmanager
def built_example():
    with installed() as (directory, environment):
        source, program = os.path.join(directory, "example.c"), os.path.join(directory, "example")
        with open(source, "w") as file:
            file.write(example())
        run(*compiler(), "-Wall", "-Wextra", "-Werror", source, "-o", program,
            *pkg_config(environment, "--cflags", "--libs"), environment=environment)
        yield lambda *arguments, status=0: run(*WRAPPER, program, *arguments, environment=environment, status=status)


@test
def the_description_needs_nothing_else():
    with installed() as (directory, environment):
        equal(pkg_config(environment, "--print-requires", "--print-requires-private"), [], "other packages")
        equal(pkg_config(environment, "--modversion"), [make_variable("PACKAGE_VERSION")])
        flags = pkg_config(environment, "--cflags", "--libs")
        equal([flag[:2] for flag in flags], ["-I", "-L", "-l"], f"{flags}")
        equal(pkg_config(environment, "--libs", "--static")[-1], "-ljansson")


@test
def the_manuals_program_prints_a_file():
    with built_example() as program, Fake({OPEN: reply({"descriptor": 0}, b"the content\n")}) as fake:
        equal(program("key", fake.path), "the content\n")
        equal(fake.requests, [{"method": OPEN, "parameters": {"file": "key"}}])


@test
def the_manuals_program_lists_files():
    files = [{"name": "a", "access": "read"}, {"name": "b", "access": "append", "description": "B"}]
    with built_example() as program, Fake({LIST: reply({"files": files})}) as fake:
        equal(program("", fake.path), "a\tread\nb\tappend\n")


@test
def the_manuals_program_tells_errors():
    with built_example() as program, Fake({OPEN: refusal("io.porterd.Files.NotPermitted", file="key", reason="no"),
                                           LIST: refusal("io.porterd.Files.Busy")}) as fake:
        equal(program("key", fake.path, status=1), "key: io.porterd.Files.NotPermitted (no)\n")
        equal(program("", fake.path, status=1), "can't list files: io.porterd.Files.Busy\n")
        equal(program("key", fake.path + "-not", status=1), "can't connect to porterd: No such file or directory\n")


@test
def the_header_stands_alone_and_is_c():
    run(*compiler(), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-x", "c", "-fsyntax-only", HEADER)


@test
def the_header_is_cplusplus_too():
    compilers = [name for name in ("g++", "clang++", "c++") if shutil.which(name)]
    if not compilers:
        raise Skip("there is no C++ compiler")
    program = '#include <porter.h>\nint main() { porter_free(0); return PORTER_FILES_MAX != 253; }\n'
    with installed() as (directory, environment):
        source = os.path.join(directory, "program.cc")
        with open(source, "w") as file:
            file.write(program)
        for name in compilers:
            for standard in ("c++98", "c++17"):
                flags = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", source]
                run(name, *flags, *pkg_config(environment, "--cflags"), "-c", "-o", source + ".o",
                    environment=environment)
                # What a sanitizer adds to the library, another compiler than the library's may not have.
                if not make_variable("SANITIZER_CFLAGS"):
                    run(name, *flags, "-o", source + ".out", *pkg_config(environment, "--cflags", "--libs"),
                        environment=environment)
                    run(source + ".out", environment=environment)


# --- what is written about it ---

@test
def the_manual_has_every_function():
    with open(MANUAL) as file:
        manual = file.read()
    names = re.search(r"# NAME\n\nlibporter, (.*?) - ", manual).group(1).split(", ")
    equal(sorted(names), header_functions(), "names of the manual")
    with open(HEADER) as file:
        header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    written = manual.split("# SYNOPSIS\n")[1].split("\n# ")[0].replace("\\", "")
    # Without typography and spaces, each declaration is the header's.
    written = re.sub(r"[*_\s]|\+\+$", "", written, flags=re.MULTILINE)
    for name in header_functions():
        declaration = re.search(rf"^[\w ]+\*?{name}\([^;]*\);", header, re.MULTILINE).group(0)
        contains(written, re.sub(r"[*_\s]", "", declaration))
    for section in ("int", "void", "constchar"):
        contains(written, section)


@test
def each_function_is_found_by_its_name():
    if not os.path.exists(os.path.join(BUILD, "man", "libporter.3")):
        raise Skip("there are no manuals in this build")
    for name in header_functions():
        with open(os.path.join(BUILD, "man", f"{name}.3")) as file:
            equal(file.read(), ".so man3/libporter.3\n", name)


main()
