"""The command line as people and scripts use it on a real system."""

import json

from harness import contains, equal, grant, in_unit, policy, run, secret, systemctl, test
from test_credentials import user


@test
def echo_gives_the_text_back():
    equal(run("porterctl", "echo", "hello").stdout.strip(), "hello")


@test
def cat_prints_a_granted_file():
    policy(grant("key", secret("key", "the content\n"), "AllowUser=root"))
    equal(run("porterctl", "cat", "key").stdout, "the content\n")


@test
def a_refusal_is_exit_status_1_with_a_reason():
    policy(grant("key", secret("key"), "AllowUser=daemon"))
    for verb in ("cat", "check"):
        done = run("porterctl", verb, "key", ok=False)
        equal(done.returncode, 1, verb)
        contains(done.stdout + done.stderr, "AllowUser=", verb)
    equal(run("porterctl", "cat", "unknown", ok=False).returncode, 1, "unknown")


@test
def check_and_list_of_a_granted_file():
    policy(grant("key", secret("key"), "AllowUser=root"))
    run("porterctl", "check", "key")
    contains(run("porterctl", "list").stdout, "key")
    files = json.loads(run("porterctl", "--json", "list").stdout)
    contains(json.dumps(files), '"key"')


@test
def exec_gives_an_unprivileged_unit_roots_key():
    user("alice")
    path = secret("key", "the key\n")
    policy(grant("key", path, "AllowUnit=porterd-test-service.service"))
    # systemd-run makes one dollar of two.
    script = 'cat <&3; echo "$LISTEN_FDS $LISTEN_FDNAMES"; [ "$LISTEN_PID" = $$$$ ] && echo mine'
    done = in_unit("porterctl", "exec", "key", "--", "sh", "-c", script,
                   unit="porterd-test-service", User="alice")
    equal(done.stdout.splitlines(), ["the key", "1 key", "mine"])
    equal(in_unit("cat", path, User="alice", ok=False).returncode != 0, True, "no other way in")
    done = in_unit("porterctl", "exec", "key", "--", "sh", "-c", script,
                   unit="porterd-test-another", User="alice", ok=False)
    equal((done.returncode, done.stdout), (1, ""), "another unit")


@test
def exec_replaces_names_in_arguments_and_keeps_the_exit_status():
    policy(grant("key", secret("key", "by name\n"), "AllowUser=root") +
           grant("two", secret("two", "second\n"), "AllowUser=root"))
    equal(run("porterctl", "exec", "key", "--", "cat", "{key}").stdout, "by name\n")
    equal(run("porterctl", "exec", "key", "two=7", "--", "sh", "-c", "cat <&7").stdout, "second\n")
    equal(run("porterctl", "exec", "key", "--", "sh", "-c", "exit 42", ok=False).returncode, 42)


@test
def completion_offers_the_callers_own_files():
    """As bash has it from the package."""
    policy(grant("daemons-key", secret("key"), "AllowUser=daemon") + grant("roots-key", secret("key"), "AllowUser=root"))
    script = """. /usr/share/bash-completion/completions/porterctl
        COMP_LINE='porterctl cat ' COMP_POINT=14 COMP_WORDS=(porterctl cat '') COMP_CWORD=2
        _porterctl
        echo "${COMPREPLY[@]}"
    """
    for name in ("daemon", "root"):
        run("setpriv", f"--reuid={name}", "--clear-groups", "porterctl", "list")  # starts what answers within a second
        said = run("setpriv", f"--reuid={name}", "--clear-groups", "bash", "-c", script).stdout
        equal(said.split(), [f"{name}s-key"], name)


@test
def status_says_what_runs():
    for expected in ("inactive", "active"):
        done = run("porterctl", "status")
        contains(done.stdout, "porterd.socket", expected)
    run("porterctl", "echo", "x")
    contains(run("porterctl", "status").stdout,
             systemctl("show", "-P", "MainPID", "porterd.service").stdout.strip(), "pid")


@test
def status_is_for_everybody():
    run("porterctl", "echo", "x")
    contains(in_unit("porterctl", "status", User="daemon").stdout, "porterd.socket")


@test
def a_service_that_cannot_be_reached_is_exit_status_3():
    systemctl("stop", "porterd.socket", "porterd.service")
    done = run("porterctl", "whoami", ok=False)
    equal(done.returncode, 3, "exit status")
    contains(done.stderr, "/run/porterd/io.porterd", "the socket that was tried")
    contains(done.stderr, "porterd.socket", "what to do")


@test
def wrong_usage_is_exit_status_2():
    for arguments in ([], ["fly"], ["cat"], ["exec", "key"], ["--wrong"]):
        equal(run("porterctl", *arguments, ok=False).returncode, 2, str(arguments))


@test
def another_socket_may_be_named():
    systemctl("start", "porterd-isolated.socket")
    got = json.loads(run("porterctl", "--json", "--socket=/run/porterd/isolated/io.porterd",
                         "whoami").stdout)
    equal(got.get("credentials", got)["uid"], 0)
