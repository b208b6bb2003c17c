"""The examples of the manuals and the README, scene by scene: what each needs, and what must come out."""

import json
import os

from examples import TOP, as_user, content, play, scene
from harness import (FILES, contains, cursor, equal, grant, in_unit, journal, mount, policy, run, secret,
                     systemctl, systemd_version, unmount, wait_until)
from test_credentials import user

MS_BIND = 4096  # <sys/mount.h>
WEB_KEY = "/etc/ssl/private/web.key"


def web_server(kept, unit_block):
    """The unit's block in place, and a program that its ExecStart= names."""
    kept.write(unit_block)
    program = next(word for word in unit_block.split() if word.endswith("web-server"))
    kept.write('#!/bin/sh\ncat "${1#--key=}" >/run/web/out && exec sleep 1000\n', program)
    os.chmod(program, 0o755)
    kept.write("[Service]\nRuntimeDirectory=web\n", "/run/systemd/system/web.service.d/test.conf")
    kept.stop_later("web.service")
    systemctl("daemon-reload")
    systemctl("start", "web.service")
    return wait_until(lambda: run("cat", "/run/web/out", ok=False).stdout, "the server has its key")


def web_key(kept):
    kept.keep(WEB_KEY)
    return content(WEB_KEY, "the key\n")


# --- porterctl(1) ------------------------------------------------------------------------------


@scene("porterctl.1", "$ porterctl echo hello")
def echo(_kept, text):
    play(text)


@scene("porterctl.1", "# /etc/porterd/files.conf.d/web.conf", "$ porterctl list",
       "# /etc/systemd/system/web.service")
def a_key(kept, grants, questions, unit):
    web_key(kept)
    kept.write(grants)
    play(questions, status={"porterctl check": 1})
    equal(web_server(kept, unit), "the key\n")
    equal(in_unit("porterctl", "cat", "web-key", User="www-data", ok=False).returncode, 1, "another unit")


@scene("porterctl.1", "# /etc/porterd/files.conf.d/audit.conf",
       "$ porterctl exec audit-log=2 -- sh -c 'echo done >&2'",
       "$ porterctl list --json")
def a_log(kept, grants, log, names):
    kept.keep("/var/log/audit-tool.log")
    kept.write(grants)
    play(log)
    equal(run("cat", "/var/log/audit-tool.log").stdout, "done\n")
    play(names)


@scene("porterctl.1", "$ porterctl bench --case=echo --duration=1")
def how_fast(_kept, text):
    FILES.mkdir(mode=0o755, exist_ok=True)
    FILES.chmod(0o777)
    contains(play(text, directory=FILES)[0], "echo")
    names = [one["transport"] for one in json.loads((FILES / "bench.json").read_text())["transports"]]
    equal(sorted(names), ["unix-datagram", "unix-seqpacket", "unix-stream"])
    contains((FILES / "bench.svg").read_text(), "</svg>")


# --- porterd(8) --------------------------------------------------------------------------------


@scene("porterd.8", "$ porterctl echo hello",
       r"$ printf 'hello\n' | socat -t 5 - UNIX-CONNECT:/run/porterd/echo")
def is_it_there(_kept, *texts):
    outputs = [play(text) for text in texts]
    contains(outputs[0][1], "uid:           1 (daemon)")
    equal(json.loads(outputs[1][1].rstrip("\0"))["parameters"]["credentials"]["uid"], 1)


@scene("porterd.8", "$ varlinkctl call /run/porterd/io.porterd io.porterd.Credentials.Get '{}'",
       when=systemd_version() >= 257)
def with_varlinkctl(_kept, text):
    equal(json.loads(play(text)[0])["credentials"]["uid"], 1)


@scene("porterd.8", "# /etc/systemd/system/porterd.service.d/idle.conf",
       "# /etc/systemd/system/porterd-echo-tcp.socket", "# systemctl daemon-reload")
def units_of_ones_own(kept, idle, tcp, start_idle, start_tcp):
    kept.stop_later("porterd-echo-tcp.socket", "porterd.service")
    kept.write(idle)
    kept.write(tcp)
    play(start_idle)
    contains(systemctl("show", "-P", "ExecStart", "porterd.service").stdout, "--exit-idle=3600")
    play(start_tcp)


# --- porterd.conf(5) ---------------------------------------------------------------------------


@scene("porterd.conf.5", "# /etc/porterd/porterd.conf", "# /etc/porterd/porterd.conf.d/latency.conf",
       "# systemctl reload-or-restart porterd.service")
def settings(kept, connections, polling, reload):
    def complaints(*texts):
        systemctl("start", "porterd.service")
        after = cursor()
        for text in texts:
            kept.write(text)
        play(reload)
        # systemd may not have heard of the reload when the command ends that asks for it.
        wait_until(lambda: any("porterd.conf was read anew" in entry["MESSAGE"]
                               for entry in journal(after, SYSLOG_IDENTIFIER="porterd")), "it is reloaded")
        return [entry["MESSAGE"] for entry in journal(after, SYSLOG_IDENTIFIER="porterd", PRIORITY="4")]

    equal(complaints(connections, polling), [])
    equal(len(complaints(polling.replace("50", "soon"))), 1, "complaints about a wrong value")


# --- porterd-files.conf(5) ---------------------------------------------------------------------


def gets(name, unit=None, **properties):
    return in_unit("porterctl", "cat", name, unit=unit, ok=False, **properties).stdout


@scene("porterd-files.conf.5", "[web-key]")
def the_first_section(kept, text):
    web_key(kept)
    policy(text)
    equal(gets("web-key", "web", User="www-data"), "the key\n")
    equal((gets("web-key", "web"), gets("web-key", User="www-data")), ("", ""), "others")


@scene("porterd-files.conf.5", "[mail-key]")
def links_of_certbot(kept, text):
    archive = "/etc/letsencrypt/archive/mail.example/privkey1.pem"
    link = "/etc/letsencrypt/live/mail.example/privkey.pem"
    kept.keep(archive)
    content(archive, "private\n")
    kept.keep(link)
    os.makedirs(os.path.dirname(link), exist_ok=True)
    os.symlink("../../archive/mail.example/privkey1.pem", link)
    policy(text)
    equal([gets("mail-key", unit) for unit in ("postfix", "dovecot", "exim")], ["private\n", "private\n", ""])


@scene("porterd-files.conf.5", "[notes]")
def a_log_of_a_group(kept, text):
    kept.keep("/var/log/notes.log")
    policy(text)
    for word in ("one", "two"):
        in_unit("porterctl", "exec", "notes=1", "--", "echo", word, User="daemon", SupplementaryGroups="adm")
    status = os.stat("/var/log/notes.log")
    equal((run("cat", "/var/log/notes.log").stdout, oct(status.st_mode & 0o777)), ("one\ntwo\n", "0o640"))
    equal(in_unit("porterctl", "check", "notes", User="daemon", ok=False).returncode, 1, "without the group")


@scene("porterd-files.conf.5", "[meter]")
def a_device(_kept, text):
    user("meter")
    # No serial line in here: another device in its place.
    open("/dev/ttyUSB0", "w", encoding="ascii").close()
    mount("/dev/zero", "/dev/ttyUSB0", flags=MS_BIND)
    try:
        policy(text)
        read = ["porterctl", "exec", "meter", "--", "sh", "-c", "head -c 2 <&3 | tr '\\0' 0"]
        equal(in_unit(*read, User="meter", unit="meter").stdout, "00")
        equal(in_unit(*read, User="meter", ok=False).returncode, 1, "another unit")
    finally:
        unmount("/dev/ttyUSB0")
        os.unlink("/dev/ttyUSB0")


@scene("porterd-files.conf.5", "[token]")
def a_copy(kept, text):
    user("app")
    kept.keep("/srv/app/token")
    content("/srv/app/token", "token\n", 0o666)
    policy(text)
    equal((gets("token", User="app"), gets("token", User="daemon")), ("token\n", ""))


# --- porterd-opener(8) -------------------------------------------------------------------------


@scene("porterd-opener.8", "# journalctl --identifier=porterd-opener PORTERD_RESULT=refused",
       "# /usr/libexec/porterd/porterd-opener --check-policy")
def the_journal(_kept, questions, reload):
    policy(grant("web-key", secret("key"), "AllowUser=root") + grant("other", secret("key"), "AllowUser=daemon"))
    play(reload)
    run("porterctl", "cat", "web-key")
    run("porterctl", "cat", "other", ok=False)
    refused, one = play(questions)
    contains(refused, f"other ({FILES}/key) was refused")
    equal(f"web-key ({FILES}/key)" in refused, False, "what was granted")
    contains(one, "PORTERD_RESULT=granted")


@scene("porterd-opener.8", "# /etc/systemd/system/porterd.socket.d/address.conf",
       "# /etc/systemd/system/porterd-opener.service.d/address.conf", "# systemctl daemon-reload")
def another_address(kept, address, opener, commands):
    policy(grant("mine", secret("key"), "AllowUser=daemon"))
    kept.stop_later("porterd.socket", "porterd.service", "porterd-opener.service")
    kept.write(address)
    kept.write(opener)
    contains(play(commands)[-1], "mine")


# --- porterd-varlink(7) ------------------------------------------------------------------------

VARLINK_POLICY = ("[web-key]\nDescription=TLS key\nAllowUser=daemon\n", "[web:a@1]\nAllowUser=daemon\n")


def varlink_policy():
    path = secret("key", "the key\n")
    policy("\n".join(f"{section}Path={path}" for section in VARLINK_POLICY) + "\n")


@scene("porterd-varlink.7", "$ varlinkctl info /run/porterd/io.porterd", when=systemd_version() >= 257)
def varlinkctl(_kept, text):
    varlink_policy()
    info, description, who, files, check = play(text)
    contains(info, "io.porterd.Files")
    contains(description, "method OpenMany")
    equal(json.loads(who)["credentials"]["uid"], 1)
    contains(files, "web:a@1")
    equal(json.loads(check)["permitted"], True)


@scene("porterd-varlink.7",
       r"$ varlinkctl --exec call /run/porterd/io.porterd io.porterd.Files.Open \ "[:-1],
       when=systemd_version() >= 258)
def varlinkctl_with_a_command(_kept, text):
    varlink_policy()
    contains(play(text)[0], "the key")


@scene("porterd-varlink.7",
       r"""$ printf '{"method":"io.porterd.Files.List","parameters":{},"more":true}\0' | socat -t 5 - """
       r"""UNIX-CONNECT:/run/porterd/io.porterd | tr '\0' '\n'""",
       """$ printf '{"method":"io.porterd.Credentials.Check","parameters":{"users":["root"]}}' | socat -t 5 - """
       "UNIX-CONNECT:/run/porterd/credentials.seqpacket,type=5")
def socat(_kept, files, check):
    varlink_policy()
    play(files)
    play(check)


@scene("porterd-varlink.7", "import socket", "import json, socket")
def python_without_a_library(_kept, datagram, file):
    varlink_policy()
    said = run(*as_user("daemon", "python3", "-c", datagram)).stdout
    equal(json.loads(said)["parameters"]["credentials"]["uid"], 1)
    equal(run(*as_user("daemon", "python3", "-c", file)).stdout, "the key\n")


# --- the README --------------------------------------------------------------------------------


@scene("README.md", "$ porterctl echo hello")
def readme_is_it_there(_kept, text):
    contains(play(text)[1], "uid:")


@scene("README.md", "[web-key]", "sudo systemctl reload-or-restart porterd-opener.service",
       "# /etc/systemd/system/web.service",
       "$ sudo systemd-run --quiet --pipe --wait --uid=www-data porterctl cat web-key",
       "import porter")
def readme_a_service_gets_its_key(kept, grants, reload, unit, refused, module):
    web_key(kept)
    kept.write(grants, "/etc/porterd/files.conf")
    run("sh", "-ec", reload.replace("sudo ", ""))
    said = in_unit("python3", "-B", "-c", module, unit="web", User="www-data",
                   Environment=f"PYTHONPATH={TOP}/src/python")
    equal(said.stdout, "b'the key\\n'\n")
    equal(web_server(kept, unit), "the key\n")
    contains(play(refused.replace("$ sudo ", "# "))[1], "web-key")
