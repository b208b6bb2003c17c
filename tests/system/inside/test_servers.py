"""porterd-examples(7): nginx and PostgreSQL as Debian has them, where they are installed."""

import os
import pathlib
import re
import shutil
import subprocess

from examples import play, scene
from harness import contains, equal, in_unit, main_pid, run, systemctl

SOURCE = "porterd-examples.7"
HAVE = all(shutil.which(name) for name in ("nginx", "curl", "openssl", "pg_ctlcluster"))
CERTIFICATES = pathlib.Path("/etc/ssl/certs")
KEY = "# openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=localhost \\"


def as_installed(kept, service):
    """As after the installation of its package, which starts it once."""
    kept.stop_later(service)
    systemctl("start", service)
    # Every machine knows that name; a tree that was never a machine need not.
    kept.write("127.0.0.1 localhost\n", "/etc/hosts")


def statuses_of(unit):
    """/proc/PID/status of each process of the unit that stays for long enough."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"/{unit}\n" in (process / "cgroup").read_text():
                found.append((process / "status").read_text())
        except OSError:  # it has just ended
            pass
    return found


def are_unprivileged(unit, user, least):
    """All processes of the unit, which are LEAST or more, are the user's and have no capability to lose."""
    uid = run("id", "-u", user).stdout.strip()
    found = statuses_of(unit)
    equal(len(found) >= least, True, f"{unit} has {len(found)} processes")
    for status in found:
        capabilities = re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)", status, re.MULTILINE)
        equal({int(mask, 16) for mask in capabilities}, {0}, f"capabilities in {unit}")
        equal(re.search(r"^Uid:\s+(.*)", status, re.MULTILINE)[1].split(), [uid] * 4, f"users in {unit}")


def is_roots(key):
    status = os.stat(key)
    equal((status.st_uid, oct(status.st_mode & 0o7777)), (0, "0o600"), key)


def fingerprint(*argv):
    """Of the certificate that ARGV prints."""
    printed = run(*argv)
    said = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=printed.stdout, text=True,
                          capture_output=True, check=False).stdout
    equal(bool(said), True, f"a certificate in {printed}")
    return said


def serves(certificate, *options):
    """Does a handshake end with this certificate, and the key that belongs to it?"""
    return fingerprint("openssl", "s_client", *options) == fingerprint("cat", certificate)


@scene(SOURCE, KEY, "# /etc/porterd/files.conf.d/web.conf", "# /etc/systemd/system/nginx.service.d/porterd.conf",
       "# /etc/nginx/conf.d/web.conf", "# /etc/sysctl.d/50-web.conf",
       "# sed -i 's|^pid .*|pid /run/nginx/nginx.pid;|' /etc/nginx/nginx.conf",
       "# systemd-run --quiet --pipe --wait --uid=www-data porterctl cat web-key",
       "# journalctl --output=cat --lines=2 PORTERD_FILE=web-key", "# systemctl restart nginx.service", when=HAVE)
def nginx(kept, key, _key_of_the_database, *rest):
    *files, start, refused, recorded, renew = rest
    https = ("-connect", "localhost:443", "-servername", "localhost")
    as_installed(kept, "nginx.service")
    play(key)
    is_roots("/etc/ssl/private/web.key")
    for file in files:
        kept.write(file)
    kept.keep("/etc/nginx/nginx.conf")
    play(start)
    are_unprivileged("nginx.service", "www-data", 2)
    play(refused)
    play(recorded)

    (CERTIFICATES / "web.pem").rename(CERTIFICATES / "old.pem")
    play(key)
    equal(serves(CERTIFICATES / "old.pem", *https), True, "the old key until the restart")
    play(renew)
    hello = next(line for line in start.splitlines() if line.startswith("$ curl"))
    play(f"{hello}\nhello\n")
    equal(serves(CERTIFICATES / "web.pem", *https), True, "the new key")
    play(hello.replace("web.pem", "old.pem"), status={"curl": 60})


@scene(SOURCE, KEY, "# /etc/porterd/files.conf.d/db.conf", "# /etc/systemd/system/postgresql@.service.d/porterd.conf",
       "# systemctl daemon-reload", "# systemd-run --quiet --pipe --wait --uid=postgres porterctl cat db-key",
       "# systemctl restart postgresql.service", when=HAVE)
def postgresql(kept, _key_of_the_web_server, key, grants, unit, start, refused, renew):
    tls = ("-starttls", "postgres", "-connect", "localhost:5432")
    as_installed(kept, "postgresql.service")
    cluster = systemctl("list-units", "--plain", "--no-legend", "postgresql@*").stdout.split()[0]
    play(key)
    is_roots("/etc/ssl/private/db.key")
    kept.write(grants)
    kept.write(unit)
    play(start)
    are_unprivileged(cluster, "postgres", 4)
    contains(pathlib.Path(f"/proc/{main_pid(cluster)}/cmdline").read_text(), "ssl_key_file=/proc/self/fd/3")
    play(refused)

    (CERTIFICATES / "db.pem").rename(CERTIFICATES / "old.pem")
    play(key)
    equal(serves(CERTIFICATES / "old.pem", *tls), True, "the old key until the restart")
    play(renew)
    ask = start[start.index("$ PGPASSWORD"):]
    play(ask)
    equal(serves(CERTIFICATES / "db.pem", *tls), True, "the new key")
    play("".join(ask.replace("db.pem", "old.pem").splitlines(keepends=True)[:-1]), status={"PGPASSWORD": 2})
    equal(in_unit("porterctl", "check", "db-key", unit="postgresql@17-other", User="postgres", ok=False).returncode, 1)
