"""systemd's own Varlink client, where systemd has one for people to use."""

import json
import os
import pathlib

import client
from harness import (OWN_UNIT, contains, equal, grant, only_if, policy, prop, run, secret, state,
                     systemctl, systemd_version, test, version)

ADDRESS = "/run/porterd/io.porterd"
REGISTRY = pathlib.Path("/run/varlink/registry")
INTERFACES = ("io.porterd.Credentials", "io.porterd.Files", "org.varlink.service")
HAVE = only_if(systemd_version() >= 257)
HAVE_262 = only_if(systemd_version() >= 262)


@HAVE
def info_names_the_product_and_its_interfaces():
    said = run("varlinkctl", "info", ADDRESS).stdout
    for part in ("porterd", version(), "io.porterd.Credentials", "io.porterd.Files",
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
    for interface in INTERFACES:
        done = run("varlinkctl", "introspect", ADDRESS, interface)
        contains(done.stdout, f"interface {interface}")
        equal(done.stderr, "", interface)


@HAVE
def call_returns_credentials():
    got = json.loads(run("varlinkctl", "call", ADDRESS, "io.porterd.Credentials.Get", "{}").stdout)
    equal((got["credentials"]["uid"], got["credentials"]["unit"]), (0, OWN_UNIT))


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
    # 262 has an errno for the standard errors, and prints the parameters.
    equal("InvalidParameter" in done.stderr or
          ("Invalid argument" in done.stderr and '"parameter":"file"' in done.stdout), True, done.stdout + done.stderr)


@HAVE
def list_interfaces_shows_all_three():
    said = run("varlinkctl", "list-interfaces", ADDRESS).stdout
    equal(sorted(said.split()), sorted(INTERFACES))


@HAVE
def the_descriptions_are_valid():
    for interface in INTERFACES:
        text = client.call("org.varlink.service.GetInterfaceDescription", {"interface": interface})["description"]
        path = pathlib.Path("/run/porterd-test.varlink")
        path.write_text(text)
        done = run("varlinkctl", "validate-idl", path)
        contains(done.stdout, f"interface {interface}", interface)
        equal(done.stderr, "", interface)
        path.write_text(text.replace("method ", "method ?", 1))
        equal(run("varlinkctl", "validate-idl", path, ok=False).returncode != 0, True, "a wrong one is noticed")


@HAVE
def more_may_be_asked_where_there_is_one_answer():
    done = run("varlinkctl", "--more", "--json=short", "call", ADDRESS, "io.porterd.Credentials.Get", "{}")
    # With more, it is a sequence of JSON texts.
    equal(json.loads(done.stdout.strip("\x1e\n"))["credentials"]["uid"], 0)


@HAVE
def collect_and_oneway_and_graceful():
    policy(grant("one", secret("key"), "AllowUser=root"))
    said = run("varlinkctl", "--collect", "--json=short", "call", ADDRESS, "io.porterd.Files.List", "{}").stdout
    contains(said, '"one"')
    equal(run("varlinkctl", "--oneway", "call", ADDRESS, "io.porterd.Files.List", "{}").stdout, "")
    run("varlinkctl", "--graceful=io.porterd.Files.UnknownFile", "call", ADDRESS, "io.porterd.Files.Open",
        '{"file":"kex"}')


@HAVE_262
def exec_hands_the_descriptor_to_a_command():
    policy(grant("key", secret("key", "by exec\n"), "AllowUser=root"))
    equal(run("varlinkctl", "--exec", "call", ADDRESS, "io.porterd.Files.Open", '{"file":"key"}', "--",
              "cat", "/proc/self/fd/3").stdout, "by exec\n")


@HAVE_262
def list_registry_shows_both_interfaces():
    said = run("varlinkctl", "list-registry").stdout
    for interface in INTERFACES[:2]:
        contains(said, interface)


@test
def the_registry_leads_to_the_socket():
    for interface in INTERFACES[:2]:
        equal(os.path.realpath(REGISTRY / interface), ADDRESS, interface)
        with client.Varlink(str(REGISTRY / interface)) as varlink:
            equal(varlink.call("io.porterd.Credentials.Get")["credentials"]["uid"], 0, interface)
    systemctl("stop", "porterd.socket", "porterd.service")
    equal([i for i in INTERFACES if (REGISTRY / i).is_symlink()], [], "links of a stopped socket")


@HAVE
def newer_systemd_gets_its_settings():
    version = systemd_version()
    expected = {"PollLimitBurst": "15", "AcceptFileDescriptors": "no", "PassPIDFD": "yes"}
    since = {"PollLimitBurst": 255, "AcceptFileDescriptors": 258, "PassPIDFD": 258}
    for name, value in expected.items():
        equal(prop("porterd-credentials.socket", name), value if version >= since[name] else "", name)
    equal(prop("porterd-opener.socket", "AcceptFileDescriptors"), "yes" if version >= 258 else "", "of the opener")
    # These are no properties. They need Linux 7.0, so all that can be seen before is that they are there.
    for unit in ("porterd.socket", "porterd-isolated.socket"):
        equal("XAttrEntryPoint=" in systemctl("cat", unit).stdout, version >= 262, f"attributes of {unit}")
    equal(state("porterd-credentials.socket"), "active")
