#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What must agree: the units, their drop-ins for newer systemd, the message catalog, and the programs."""

import glob
import os
import re
import subprocess
import tempfile

from harness import *

UNITS = os.path.join(SOURCE, "units")
# What systemd makes a seccomp filter or a BPF program of.
FILTERING = """SystemCallFilter SystemCallLog SystemCallArchitectures RestrictAddressFamilies RestrictNamespaces
    RestrictRealtime RestrictSUIDSGID RestrictFileSystems RestrictNetworkInterfaces LockPersonality
    MemoryDenyWriteExecute PrivateDevices ProtectClock ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables DeviceAllow DevicePolicy IPAddressAllow IPAddressDeny IPIngressFilterPath
    IPEgressFilterPath BPFProgram SocketBindAllow SocketBindDeny NFTSet""".split()


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def settings(text):
    """The names of the settings in a unit file."""
    return re.findall(r"^(\w+)=", text, re.MULTILINE)


def catalog():
    """From each message ID to its entry."""
    parts = re.split(r"^-- (\S+)\n", read(UNITS, "porterd.catalog"), flags=re.MULTILINE)[1:]
    entries = dict(zip(parts[::2], parts[1::2]))
    equal(len(entries), len(parts) // 2, "entries with an ID of their own")
    return entries


@test
def every_kind_of_record_is_in_the_catalog_and_nothing_else():
    ids = re.findall(r'"([0-9a-f]{32})"', read(SOURCE, "src/record/message_id.h"))
    if len(ids) < 8:
        raise AssertionError(f"hardly any IDs were found: {ids}")
    equal(sorted(catalog()), sorted(ids), "IDs")


@test
def entries_of_the_catalog_are_complete():
    for kind, entry in catalog().items():
        header, _, body = entry.partition("\n\n")
        equal([line.split(":")[0] for line in header.splitlines()], ["Subject", "Defined-By", "Documentation"], kind)
        if len(body.strip()) < 80:
            raise AssertionError(f"{kind} explains nothing: {body}")


@test
def a_process_for_each_client_has_no_filters():
    for unit in ("porterd-isolated@.service.in", "porterd-isolated-echo@.service.in"):
        names = settings(read(UNITS, unit))
        if "CapabilityBoundingSet" not in names:
            raise AssertionError(f"{unit} was not understood: {names}")
        equal([n for n in names if n in FILTERING], [], unit)


def descriptors(unit):
    return int(re.search(r"^LimitNOFILE=(\d+)$", read(UNITS, unit), re.MULTILINE).group(1))


@test
def isolated_clients_leave_room_for_descriptors_on_their_way():
    """The kernel counts those of all processes of porterd together, and each has its own limit. Of the daemon's own a
    quarter can be on their way to clients, and a question for each connection to the opener."""
    daemon = descriptors("porterd.service.in")
    if descriptors("porterd-isolated@.service.in") + daemon // 4 + 4096 > daemon // 4 * 3:
        raise AssertionError("isolated clients who do not read can use the daemon's share up")


def installed(version):
    """The drop-ins that `make install` makes for that systemd, as UNIT.d/NAME."""
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["make", "-s", "-C", BUILD, "install-data-local", f"DESTDIR={root}", "systemunitdir=/units",
                        f"SYSTEMD_VERSION={version}"], check=True, stdout=subprocess.DEVNULL)
        return sorted(os.path.relpath(p, f"{root}/units") for p in glob.glob(f"{root}/units/*.d/*"))


@test
def each_systemd_gets_what_it_knows():
    newest = installed(999)
    sources = sorted(os.path.basename(p) for p in glob.glob(f"{UNITS}/newer/*.conf"))
    equal(sorted({re.sub(".*/systemd-", "", p) for p in newest}), sources, "drop-ins that are installed")
    for unit in {os.path.dirname(p)[:-2] for p in newest}:
        if not os.path.exists(f"{UNITS}/{unit}") and not os.path.exists(f"{UNITS}/{unit}.in"):
            raise AssertionError(f"a drop-in for {unit}, which there is not")
    for version in (252, 253, 255, 257, 258, 262):
        equal(installed(version), [p for p in newest if int(re.search(r"systemd-(\d+)-", p).group(1)) <= version],
              f"drop-ins for systemd {version}")


main()
