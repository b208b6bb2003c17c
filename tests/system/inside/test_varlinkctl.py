"""systemd's own Varlink client, where systemd has one for people to use."""

import json

from harness import contains, equal, grant, only_if, policy, run, secret, systemd_version

ADDRESS = "/run/porterd/io.porterd"
HAVE = only_if(systemd_version() >= 257)


@HAVE
def info_names_the_product_and_its_interfaces():
    said = run("varlinkctl", "info", ADDRESS).stdout
    for part in ("porterd", "0.1.0", "io.porterd.Credentials", "io.porterd.Files",
                 "org.varlink.service"):
        contains(said, part)


@HAVE
def list_methods_shows_every_method():
    said = run("varlinkctl", "list-methods", ADDRESS).stdout
    for part in ("io.porterd.Credentials.Get", "io.porterd.Credentials.Check",
                 "io.porterd.Files.Open", "io.porterd.Files.OpenMany", "io.porterd.Files.List",
                 "io.porterd.Files.Check"):
        contains(said, part)


@HAVE
def introspect_parses_the_descriptions():
    for interface in ("io.porterd.Credentials", "io.porterd.Files", "org.varlink.service"):
        done = run("varlinkctl", "introspect", ADDRESS, interface)
        contains(done.stdout, f"interface {interface}")
        equal(done.stderr, "", interface)


@HAVE
def call_returns_credentials():
    got = json.loads(run("varlinkctl", "call", ADDRESS, "io.porterd.Credentials.Get", "{}").stdout)
    equal((got["credentials"]["uid"], got["credentials"]["unit"]), (0, "porterd-tests.service"))


@HAVE
def call_with_more_lists_files():
    policy(grant("one", secret("key"), "AllowUser=root") +
           grant("two", secret("key"), "AllowUser=root"))
    said = run("varlinkctl", "--more", "call", ADDRESS, "io.porterd.Files.List", "{}").stdout
    for name in ("one", "two"):
        contains(said, name)


@HAVE
def call_shows_an_error():
    done = run("varlinkctl", "call", ADDRESS, "io.porterd.Files.Check", '{"file":5}', ok=False)
    equal(done.returncode != 0, True, "exit status")
    contains(done.stdout + done.stderr, "InvalidParameter")
