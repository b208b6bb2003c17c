"""What the manuals and the README show, found in their sources and run as it stands there.

A scene names the blocks that it runs, by their first lines. scenes_missing() tells of blocks that are in no
scene, and of scenes without their block."""

import os
import pathlib
import re
import shutil

from harness import FILES, POLICIES, equal, run, systemctl, test

HERE = pathlib.Path(__file__).resolve().parent
# In a checkout, or where tests/system/run has bound them.
TOP = next(top for top in (HERE.with_name("porterd-source"), *HERE.parents) if (top / "man/porterd.8.scd").is_file())
README = "README.md"
# Drawings, commands that build and install what the tests were given already, and those that load profiles into
# the kernel: the step confinement of tools/check compiles these, and no kernel takes part.
NOT_RUN = re.compile(r'^ client ──|^git clone|^autoreconf|^aa-enforce|^cd "\$\(mktemp -d\)" && cp .*/selinux/')
# libporter's are C, and no compiler is in here: tests/libporter/library.t compiles them.
ELSEWHERE = ("libporter.3",)
SCENES, PLAYED = {}, {}


def blocks(path):
    """The blocks between lines of ```, by first line, without the escapes that scdoc takes away."""
    found, lines = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            if lines:
                text = "\n".join(lines) + "\n"
                if path.suffix == ".scd":
                    text = re.sub(r"\\(.)", r"\1", text)
                found[text.split("\n", 1)[0]] = found.get(text.split("\n", 1)[0], []) + [text]
            lines = [] if lines is None else None
        elif lines is not None:
            lines.append(line)
    return found


def sources():
    """Every source by the name of its manual: porterctl.1, README.md."""
    paths = [TOP / README, *sorted((TOP / "man").glob("*.scd"))]
    return {path.name.removesuffix(".scd"): blocks(path) for path in paths}


SOURCES = sources()


def scene(source, *firsts, when=True):
    """Registers what tests the blocks of SOURCE that begin with these lines, and gets them. A first line that is
    there twice is named once, and comes as often as it is there. The scenes of one source are one test."""
    SCENES.setdefault(source, []).extend(firsts)

    def register(function):
        if when:
            PLAYED.setdefault(source, []).append((function, firsts))
        return function

    return register


def play_all(source):
    """One scene after the other; the sockets stay as they are between them, because a full reset takes long."""
    for function, firsts in PLAYED[source]:
        texts = [text for first in firsts for text in SOURCES[source].get(first, [])]
        kept = Kept()
        try:
            print(f"# {source}: {function.__name__.replace('_', ' ')}", flush=True)
            function(kept, *texts)
        finally:
            kept.restore()
        shutil.rmtree(POLICIES, ignore_errors=True)
        systemctl("stop", "porterd.service", "porterd-opener.service")


def register_tests():
    """After all scenes are there."""
    for source in PLAYED:
        def function(source=source):
            play_all(source)

        function.__name__ = source
        test(function)
    test(every_example_has_a_scene)


def every_example_has_a_scene():
    equal(scenes_missing(ELSEWHERE), [], "examples and scenes")


def scenes_missing(elsewhere=()):
    """Blocks without a scene and scenes without a block, but for the sources that are tested ELSEWHERE."""
    wrong = []
    for source, found in SOURCES.items():
        if source in elsewhere:
            continue
        wrong += [f"{source}: no test for: {first}" for first in found
                  if first not in SCENES.get(source, ()) and not NOT_RUN.match(first)]
    for source, firsts in SCENES.items():
        wrong += [f"{source}: a test for what is not there: {first}" for first in firsts
                  if first not in SOURCES.get(source, ())]
    return wrong


# --- running what stands there -----------------------------------------------------------------


class Kept:
    """The files as they were before the scene."""

    def __init__(self):
        self.before = {}
        self.made = []
        self.units = []

    def keep(self, path):
        path = pathlib.Path(path)
        if path not in self.before:
            self.before[path] = path.read_bytes() if path.exists() else None

    def write(self, text, path=None):
        """Writes a block to PATH, or to the path that is its first line."""
        path = pathlib.Path(path or re.fullmatch(r"# (/\S+)", text.split("\n", 1)[0])[1])
        self.keep(path)
        self.made += [directory for directory in path.parents if not directory.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        return path

    def stop_later(self, *units):
        self.units += units

    def restore(self):
        for path, content in self.before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        for directory in sorted(set(self.made), reverse=True):
            if directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()
        if self.units:
            systemctl("daemon-reload")
            systemctl("stop", *self.units, ok=False)


def commands(text):
    """Of a block with prompts: (prompt, command, what it prints) for each."""
    steps, lines = [], iter(text.splitlines())
    for line in lines:
        if line[:2] in ("$ ", "# "):
            command = line[2:]
            while command.endswith("\\"):
                command = f"{command[:-1].rstrip()} {next(lines).strip()}"
            steps.append((line[0], command, []))
        else:
            steps[-1][2].append(line)
    return steps


def as_user(user, *argv):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv]


def play(text, status=(), directory="/"):
    """Runs a block with prompts: after # as root, after $ as daemon. What the block shows must come out; where
    that is a complaint of porterctl's, or STATUS has the command's beginning, so must the exit status.
    Returns the output of each command."""
    outputs, status = [], dict(status)
    for prompt, command, shown in commands(text):
        if command.startswith("journalctl"):
            run("journalctl", "--sync")
        done = run(*(as_user("daemon") if prompt == "$" else []), "sh", "-c", command, ok=False, cwd=directory)
        output = done.stdout + done.stderr
        expected = next((status.pop(key) for key in list(status) if command.startswith(key)),
                        int(any(line.startswith("porterctl: ") for line in shown)))
        equal(done.returncode, expected, f"exit status of {command!r}, which said {output!r}")
        if shown and not re.fullmatch(pattern("\n".join(shown)), output.replace("\0", "").strip()):
            raise AssertionError(f"{command}: it printed {output!r}, not {shown!r}")
        outputs.append(output)
    equal(status, {}, "exit statuses of no command")
    return outputs


def pattern(text):
    """... and the character for it stand for anything in the line."""
    return ".*".join(re.escape(part) for part in re.split(r"\.{3,}|…", text.strip()))


def content(name, text="secret\n", mode=0o600):
    """A file of root's at an absolute path or beneath FILES."""
    path = FILES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.chmod(path, mode)
    return path
