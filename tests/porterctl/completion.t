#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completion in bash and zsh: what is offered, what the typed line becomes, and what never happens."""

import os
import pty
import select
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fake import *
from world import World

COMPLETION = os.path.join(os.path.abspath(SOURCE), "tools", "completion")

# Stands for porterctl: a list is answered as $FAKE says ("real": as porterctl does), anything else leaves its arguments
# behind.
FAKE_PORTERCTL = r"""#!/bin/sh
if [ "$1 $2" != "list --json" ]; then
	printf '%s\0' "$@" >"$WORK/called.new"
	mv "$WORK/called.new" "$WORK/called"
	exit
fi
printf '%s\n' "$*" >>"$WORK/listed"
case $FAKE in
down) echo "NOISE: can't connect" >&2; exit 3 ;;
hang) echo $$ >"$WORK/hanging"; exec sleep 60 ;;
real) exec "$PORTERCTL" "$@" ;;
esac
cat "$WORK/list"
"""

# Prints what the completion function offers for the words of a command line, and what it asks of compopt.
DRIVER = r"""
source "$1"
compopt() { printf 'compopt %s\0' "$*"; }
COMP_LINE=$2 COMP_POINT=$3 COMP_CWORD=$4
shift 4
COMP_WORDS=("$@")
_porterctl porterctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\0' "${COMPREPLY[@]}"
"""

USUAL = [{"name": "nginx-key", "description": "TLS key", "access": "read"},
         {"name": "nginx-log", "description": None, "access": "append"},
         {"name": "web:a@1+x", "description": None, "access": "read"},
         {"name": "-dash", "description": None, "access": "read"}]
NAMES = ["nginx-key", "nginx-log", "web:a@1+x"]


class Place:
    """A directory with a porterctl that is none, first in PATH."""

    def __init__(self, files=None, mode="up"):
        self.directory = tempfile.mkdtemp(prefix="porterctl-completion-")
        self.programs = os.path.join(self.directory, "bin")
        os.mkdir(self.programs)
        self.program("porterctl", FAKE_PORTERCTL)
        self.program("porterctl-test-command", "#!/bin/sh\n")
        with open(self.path("list"), "w") as file:
            file.write(json.dumps({"files": USUAL if files is None else files}, separators=(",", ":")) + "\n")
        self.environment = dict(os.environ, WORK=self.directory, FAKE=mode, PORTERCTL=PORTERCTL, HOME=self.directory,
                                TERM="dumb", PATH=f"{self.programs}:{os.environ['PATH']}", LC_ALL="C.UTF-8")

    def path(self, name):
        return os.path.join(self.directory, name)

    def program(self, name, text):
        path = os.path.join(self.programs, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def listed(self):
        """The command lines by which a list was asked for."""
        if not os.path.exists(self.path("listed")):
            return []
        with open(self.path("listed")) as file:
            return file.read().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.directory)


def split_like_bash(line):
    """The words that bash makes of a line without quotes: cut at blanks, and around COMP_WORDBREAKS."""
    words = re.findall(r"[@><=;|&(:]+|[^\s@><=;|&(:]+", line)
    return words + [""] if line[-1:].isspace() else words


def offers(place, line, words=None, more="", behind=""):
    """What bash is offered at the end of the line, in order; `more` is shell code to run first."""
    words = words or split_like_bash(line)
    done = subprocess.run(["bash", "--noprofile", "--norc", "-c", more + DRIVER, "bash",
                           os.path.join(COMPLETION, "porterctl"), line + behind, str(len(line)), str(len(words) - 1)] +
                          words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=place.environment, timeout=PATIENCE * 3, check=False)
    equal(done.stderr.decode(), "", f"stderr for {line!r}")
    return done.stdout.decode().split("\0")[:-1]


def help_of_porterctl():
    """The verbs, the options of all of them, and those of bench alone, that the real one has."""
    status, output, _ = porterctl("--help")
    equal(status, 0)
    verbs = re.findall(r"^  ([a-z]+) ", output, re.MULTILINE)
    common, _, of_bench = output.partition("Of bench:\n")
    options = re.findall(r"^  (--[a-z]+=?)", common, re.MULTILINE)
    bench_options = re.findall(r"^  (--[a-z]+=?)", of_bench, re.MULTILINE)
    if len(verbs) < 7 or len(options) < 4 or len(bench_options) < 5:
        raise AssertionError(f"help is not as expected: {output}")
    return verbs, options, bench_options


# --- bash, function by function ---

@test
def bash_offers_every_verb():
    verbs, _, _ = help_of_porterctl()
    with Place() as place:
        equal(sorted(offers(place, "porterctl ")), sorted(verbs))
        equal(sorted(offers(place, "porterctl --json ")), sorted(verbs))
        equal(offers(place, "porterctl e"), ["echo", "exec"])
        equal(offers(place, "porterctl --socket /x st"), ["status"])
        equal(offers(place, "porterctl nix"), [])
        equal(place.listed(), [], "nobody had to be asked")


@test
def bash_offers_every_option():
    verbs, options, bench_options = help_of_porterctl()
    with Place() as place:
        for verb in [""] + verbs:
            wanted = [o for o in options if not (verb == "echo" and o == "--json")]
            wanted += bench_options if verb == "bench" else []
            equal(sorted(offers(place, f"porterctl {verb} -")), sorted(wanted), verb)
        equal(offers(place, "porterctl cat --so"), ["compopt -o nospace", "--socket="])
        equal(offers(place, "porterctl exec nginx-key --"), ["--json", "--", "--socket=", "--help", "--version"])
        equal(offers(place, "porterctl cat -- --"), [], "-- ends options")


@test
def bash_offers_the_callers_files():
    with Place() as place:
        for verb in ("cat", "check", "exec"):
            equal(offers(place, f"porterctl {verb} "), NAMES, verb)
            equal(offers(place, f"porterctl {verb} nginx-k"), ["nginx-key"], verb)
            equal(offers(place, f"porterctl --json {verb} ng"), ["nginx-key", "nginx-log"], verb)
            equal(offers(place, f"porterctl {verb} nix"), [], verb)
        equal(set(place.listed()), {"list --json"})
        for line in ("cat nginx-key ", "check nginx-key n", "whoami ", "list ", "status n", "echo ", "nix "):
            equal(offers(place, f"porterctl {line}"), [], line)
        equal(offers(place, "porterctl exec nginx-key web:a@1+x=5 "), ["nginx-log", "--"])
        equal(offers(place, "porterctl cat -- "), NAMES + ["-dash"], "a dash is no option behind --")


@test
def bash_cuts_names_as_readline_does():
    with Place() as place:
        for line, wanted in (("web", "web:a@1+x"), ("web:", "a@1+x"), ("web:a", "a@1+x"), ("web:a@", "@1+x"),
                             ("web:a@1+", "@1+x"), ("web:b", None)):
            equal(offers(place, f"porterctl cat {line}"), [wanted] if wanted else [], line)
        equal(offers(place, "porterctl cat web:a", words=["porterctl", "cat", "web:a"], more="COMP_WORDBREAKS=' ';"),
              ["web:a@1+x"], "other word breaks")
        equal(offers(place, 'porterctl cat "web:a', words=["porterctl", "cat", '"web:a']), ["web:a@1+x"], "quoted")
        equal(offers(place, "porterctl cat nginx", behind="-key rest", words=["porterctl", "cat", "nginx-key"]),
              ["nginx-key", "nginx-log"], "the cursor inside a word")


@test
def bash_offers_numbers_behind_the_name():
    with Place() as place:
        equal(offers(place, "porterctl exec nginx-key="), [str(n) for n in range(10)])
        equal(offers(place, "porterctl exec web:a@1+x=2"), ["2"])
        equal(offers(place, "porterctl cat nginx-key="), [], "only exec has them")
        equal(place.listed(), ["list --json"])


@test
def bash_offers_files_that_may_be_missing():
    with Place() as place:
        equal(offers(place, "porterctl exec nginx-key?=2"), ["2"])
        equal(offers(place, "porterctl exec nginx-key?"), ["nginx-key?"])
        equal(offers(place, "porterctl exec nginx-key\\?"), ["nginx-key\\?"])
        equal(offers(place, "porterctl exec 'nginx-key?"), ["nginx-key?"])
        equal(offers(place, "porterctl exec 'nginx-key?' nginx-log\\?=5 "), ["web:a@1+x", "--"])
        equal(offers(place, "porterctl exec nginx-k?"), [], "no pattern")
        equal(offers(place, "porterctl exec nginx-key? web:a@1+x?=5 "), ["nginx-log", "--"])
        equal(offers(place, "porterctl cat nginx-key?"), [], "only exec has it")


@test
def bash_asks_at_the_same_socket():
    with Place() as place:
        for given in ("--socket=/x/y:z", "--socket /x/y:z"):
            equal(offers(place, f"porterctl {given} cat nginx-k"), ["nginx-key"], given)
            equal(offers(place, f"porterctl cat {given} nginx-k"), ["nginx-key"], given)
        equal(place.listed(), ["list --json --socket=/x/y:z"] * 4)
        for line in ("--socket=/x", "cat --socket ", "cat nginx-key > ", "--socket="):
            equal(offers(place, f"porterctl {line}"), ["compopt -o default"], "a path")


@test
def bash_hands_over_to_the_command():
    offset = "{}() {{ COMPREPLY=(\"offset $1 of ${{COMP_WORDS[$1]}}\"); }};"
    with Place() as place:
        for name in ("_command_offset", "_comp_command_offset"):
            more = offset.format(name)
            equal(offers(place, "porterctl exec nginx-key=5 -- ls -", more=more), ["offset 6 of ls"])
            equal(offers(place, "porterctl exec web:a -- ls -- --json ", more=more), ["offset 6 of ls"])
            equal(offers(place, "porterctl -- exec nginx-key -- l", more=more), ["offset 5 of l"])
        # Where there is no bash-completion.
        equal(offers(place, "porterctl exec nginx-key -- porterctl-test-c"), ["porterctl-test-command"])
        for line in ("/usr/b", "ls ", "ls -- n"):
            equal(offers(place, f"porterctl exec nginx-key -- {line}"), ["compopt -o bashdefault -o default"], line)
        equal(place.listed(), [])


# --- what could go wrong ---

def hostile(place):
    mark = place.path("mark")
    names = [f"$(touch {mark})", f"`touch {mark}`", f"x;touch {mark}", f"x\ntouch {mark}", 'x"y', "x'y", "a b", "x\\y",
             "*", "~", "x" * 64, "", "x\u202ey", "${HOME}", f"x[$(touch {mark})]"]
    files = [{"name": n, "description": '"name":"from-description"', "access": "read"} for n in names]
    with open(place.path("list"), "w") as file:
        file.write(json.dumps({"files": files + USUAL}, separators=(",", ":"), ensure_ascii=False) + "\n")
    return mark


@test
def bash_offers_nothing_that_is_no_name():
    with Place() as place:
        mark = hostile(place)
        equal(offers(place, "porterctl cat "), NAMES)
        equal(offers(place, "porterctl exec "), NAMES)
        value = f"$(touch${{IFS}}{mark})"
        line = f"porterctl --socket={value} cat {value}"
        equal(offers(place, line, words=["porterctl", "--socket", "=", value, "cat", value]), [])
        equal(place.listed()[-1], f"list --json --socket={value}", "as typed")
        equal(os.path.exists(mark), False, "something was run")


@test
def bash_is_silent_without_a_service():
    with Place(mode="down") as place:
        equal(offers(place, "porterctl cat "), [])
        equal(offers(place, "porterctl exec nginx-key "), ["--"])
        equal(len(place.listed()), 2)
        os.unlink(os.path.join(place.programs, "porterctl"))
        place.environment["PATH"] = place.programs
        for name in ("bash", "timeout", "grep", "cut"):
            os.symlink(shutil.which(name), os.path.join(place.programs, name))
        equal(offers(place, "porterctl cat "), [], "no porterctl at all")


@test
def bash_does_not_wait_for_a_service_that_hangs():
    with Place(mode="hang") as place:
        begun = time.monotonic()
        equal(offers(place, "porterctl cat "), [])
        # A second, and what a busy machine adds; without a limit it were the sleep's minute.
        if time.monotonic() - begun > PATIENCE:
            raise AssertionError("waited for it")
        with open(place.path("hanging")) as file:
            equal(os.path.exists(f"/proc/{int(file.read())}"), False, "it was left behind")


# --- whole shells at a terminal ---

class Shell:
    """An interactive shell. type() presses TAB behind a text, then enter, and returns what porterctl was given."""

    def __init__(self, place, command, setup):
        self.place = place
        self.screen = b""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(place.directory)
            os.execvpe(command[0], command, place.environment)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.write(setup + "\n")
        # The shell's own words echo the command, so the mark is made of two parts.
        self.write("echo REA''DY\n")
        eventually(lambda: b"READY" in self.screen.replace(b"REA''DY", b""), "the shell is ready")

    def read(self):
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                return
            if not data:
                return
            self.screen += data

    def write(self, text):
        data = text.encode()
        while data:
            select.select([], [self.terminal], [], PATIENCE)
            data = data[os.write(self.terminal, data):]

    def type(self, text, rest=""):
        called = self.place.path("called")
        if os.path.exists(called):
            os.unlink(called)
        self.write(text + "\t" + rest + "\n")
        eventually(lambda: os.path.exists(called), f"{text!r} is run; on the screen: {self.screen[-600:]!r}")
        with open(called) as file:
            return file.read().split("\0")[:-1]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.terminal)


def bash(place, before=""):
    if not shutil.which("bash"):
        raise Skip("bash is not installed")
    return Shell(place, ["bash", "--noprofile", "--norc", "-i"],
                 f"{before}bind 'set enable-bracketed-paste off'; source '{COMPLETION}/porterctl'")


def zsh(place):
    if not shutil.which("zsh"):
        raise Skip("zsh is not installed")
    return Shell(place, ["zsh", "-f", "-i"],
                 f"fpath=('{COMPLETION}' $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep; "
                 "zstyle ':completion:*' insert-tab false; _test() { compadd alpha }; "
                 "compdef _test porterctl-test-command")


# Text, what follows the TAB, and the arguments that porterctl gets.
LINES = (
    ("who", "", ["whoami"]),
    ("exe", "more", ["exec", "more"]),
    ("cat --js", "", ["cat", "--json"]),
    ("cat nginx-k", "", ["cat", "nginx-key"]),
    ("cat w", "", ["cat", "web:a@1+x"]),
    ("cat web:", "", ["cat", "web:a@1+x"]),
    ("cat web:a@", "", ["cat", "web:a@1+x"]),
    ("check 'web:", "", ["check", "web:a@1+x"]),
    ("cat -- -d", "", ["cat", "--", "-dash"]),
    ("exec nginx-key=7", "", ["exec", "nginx-key=7"]),
    ("exec web:a@1+x=7", "", ["exec", "web:a@1+x=7"]),
    ("exec nginx-key\\?", "-- x", ["exec", "nginx-key?", "--", "x"]),
    ("exec 'web:a@1+x?", "-- x", ["exec", "web:a@1+x?", "--", "x"]),
    ("exec nginx-key\\? web", "-- x", ["exec", "nginx-key?", "web:a@1+x", "--", "x"]),
    ("exec nginx-key web", "-- x", ["exec", "nginx-key", "web:a@1+x", "--", "x"]),
    ("cat --socket=./so", "nginx-key", ["cat", "--socket=./socket", "nginx-key"]),
    ("cat --socket ./so", "", ["cat", "--socket", "./socket"]),
    ("cat --so", "x", ["cat", "--socket=x"]),
)


def check_lines(shell, place):
    open(place.path("socket"), "w").close()
    for text, rest, wanted in LINES:
        equal(shell.type(f"porterctl {text}", rest), wanted, text)


@test
def bash_at_a_terminal():
    with Place() as place, bash(place) as shell:
        check_lines(shell, place)
        equal(shell.type("porterctl exec nginx-key -- porterctl-test-c"),
              ["exec", "nginx-key", "--", "porterctl-test-command"])
        equal(shell.type("porterctl exec nginx-key -- cat ./so"), ["exec", "nginx-key", "--", "cat", "./socket"])


@test
def bash_at_a_terminal_with_bash_completion():
    library = "/usr/share/bash-completion/bash_completion"
    if not os.path.exists(library):
        raise Skip("bash-completion is not installed")
    with Place() as place, bash(place, f"source {library}; complete -W alpha porterctl-test-command; ") as shell:
        check_lines(shell, place)
        for files in ("nginx-key", "web:a@1+x=5"):
            equal(shell.type(f"porterctl exec {files} -- porterctl-test-command al"),
                  ["exec", files, "--", "porterctl-test-command", "alpha"])


@test
def zsh_at_a_terminal():
    verbs, options, bench_options = help_of_porterctl()
    with Place() as place, zsh(place) as shell:
        check_lines(shell, place)
        # Each verb and option by all but its last letters.
        for verb in verbs:
            equal(shell.type(f"porterctl {verb[:3]}"), [verb])
        for option in options:
            equal(shell.type(f"porterctl {option[:4]}", "x" if option.endswith("=") else ""),
                  [option + "x" if option.endswith("=") else option])
        for option in bench_options:
            equal(shell.type(f"porterctl bench {option[:5]}", "x"), ["bench", option + "x"])
        equal(shell.type("porterctl exec nginx-key web:a@1+x=5 -- porterctl-test-command al"),
              ["exec", "nginx-key", "web:a@1+x=5", "--", "porterctl-test-command", "alpha"])
        equal(shell.type("porterctl exec nginx-key nginx-"), ["exec", "nginx-key", "nginx-log"])
        mark = hostile(place)
        equal(shell.type("porterctl cat nginx-k"), ["cat", "nginx-key"])
        shell.type("porterctl cat ")
        equal(os.path.exists(mark), False, "something was run")


@test
def zsh_asks_at_the_same_socket():
    with Place() as place, zsh(place) as shell:
        equal(shell.type("porterctl --socket=/x/y:z cat nginx-k"), ["--socket=/x/y:z", "cat", "nginx-key"])
        equal(shell.type("porterctl cat --socket '/x y' nginx-k"), ["cat", "--socket", "/x y", "nginx-key"])
        equal(place.listed(), ["list --json --socket=/x/y:z", "list --json --socket=/x y"])


@test
def zsh_is_silent_without_a_service():
    for mode in ("down", "hang"):
        with Place(mode=mode) as place, zsh(place) as shell:
            begun = time.monotonic()
            equal(shell.type("porterctl cat nginx-k"), ["cat", "nginx-k"], mode)
            if time.monotonic() - begun > PATIENCE:
                raise AssertionError("waited for it")
            equal((b"NOISE" in shell.screen, b"terminated" in shell.screen.lower()), (False, False), mode)


# --- with porterctl, porterd and the opener ---

POLICY = """
[own-key]
Path={d}/key
AllowUser={me}

[own:log@1]
Path={d}/log
AllowUser={me}

[others-key]
Path={d}/key
AllowUser=4242
"""


@test
def the_callers_own_files_and_nobody_elses():
    with World(POLICY) as world, Place(mode="real") as place:
        world.file("key")
        world.file("log")
        begin = f"porterctl --socket={world.porterd.path} cat "
        # On a busy machine the service may take longer than completion waits.
        equal(eventually(lambda: sorted(offers(place, begin)), "files are offered"), ["own-key", "own:log@1"])
        for shell_of in (bash, zsh):
            with shell_of(place) as shell:
                for text, name in (("own-", "own-key"), ("own:", "own:log@1"), ("others-", "others-")):
                    wanted = begin.split()[1:] + [name]
                    eventually(lambda: shell.type(begin + text) == wanted, f"{text} becomes {name}")


main()
