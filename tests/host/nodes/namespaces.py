# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Machines that are network namespaces: ``near``, ``far``, and ``middle`` with a NIC between them.

Two pairs of virtual interfaces: the ends ``left`` and ``right`` are in the middle, the others are
``eth0`` of the machines. The namespaces have no names; a process holds each of them, and the kernel
removes all that was in it when that one ends, whatever ends it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from midwire.host.nodes.nic_process import InterfaceWire
from midwire.host.nodes.process import Child

NEAR, FAR = "10.111.0.1", "10.111.0.2"
NEAR_6, FAR_6 = "fd00:111::1", "fd00:111::2"
NEAR_MAC, FAR_MAC = "02:00:00:00:01:01", "02:00:00:00:02:02"
ADDRESSES = {"near": (NEAR, NEAR_6), "far": (FAR, FAR_6)}
SIDES = ("left", "right")
LOOP = [*InterfaceWire(SIDES, (FAR, 5220)).words(), "--quiet", "100"]
"""Arguments of the loop around the pipeline that passes every frame on."""


class Namespaces:
    """The machines, connected."""

    def __init__(self) -> None:
        self.pids: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("near", "middle", "far"):
            # `cat` ends with our end of its standard input.
            self.pids[name] = subprocess.Popen(
                ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            held = self.pids[name]
            assert held.stdin is not None and held.stdout is not None
            held.stdin.write(b"ready\n")
            held.stdin.flush()
            if held.stdout.readline() != b"ready\n":
                raise OSError("unshare --net does not work here")

    def inside(self, name: str, *words: str) -> list[str]:
        """The command that runs another one on a machine."""
        return ["nsenter", "--net", f"--target={self.pids[name].pid}", *words]

    def run(self, name: str, *words: str) -> str:
        """Run a program on a machine, to its end; returns what it wrote."""
        command = self.inside(name, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def python(self, name: str, program: str, *words: str) -> str:
        """Run a Python program on a machine, to its end; returns what it wrote."""
        return self.run(name, sys.executable, "-c", program, *words)

    def connect(self) -> None:
        """Make the interfaces, up and with addresses."""
        for machine, side, mac in (("near", "left", NEAR_MAC), ("far", "right", FAR_MAC)):
            pid = str(self.pids[machine].pid)
            self.run("middle", "ip", "link", "add", side, "type", "veth", "peer", "name", "eth0",
                     "address", mac, "netns", pid)  # fmt: skip
            self.run("middle", "ip", "link", "set", side, "up")
            self.run(machine, "ip", "link", "set", "eth0", "up")
            self.run(machine, "ip", "link", "set", "lo", "up")
            self.address(machine, "eth0", *ADDRESSES[machine])

    def address(self, machine: str, interface: str, *addresses: str) -> None:
        """Give an interface addresses, at once usable."""
        for address in addresses:
            bits, *more = ("64", "nodad") if ":" in address else ("24",)
            words = ("ip", "address", "add", f"{address}/{bits}", "dev", interface, *more)
            self.run(machine, *words)

    def mtu(self, size: int) -> None:
        """The MTU of the whole way."""
        for name, interface in (("near", "eth0"), ("far", "eth0"), *(("middle", s) for s in SIDES)):
            self.run(name, "ip", "link", "set", interface, "mtu", str(size))

    def bridge(self) -> None:
        """Let the kernel of the middle connect the machines, without a NIC."""
        self.run("middle", "ip", "link", "add", "bridge", "type", "bridge")
        self.run("middle", "ip", "link", "set", "bridge", "up")
        for side in SIDES:
            self.run("middle", "ip", "link", "set", side, "master", "bridge")

    def know_each_other(self) -> None:
        """Tell the near machine the other's MAC address: it need not ask."""
        self.run("near", "ip", "neighbour", "add", FAR, "lladdr", FAR_MAC, "dev", "eth0")

    def close(self) -> None:
        """Remove them, and all that is in them."""
        for held in self.pids.values():
            held.kill()
            held.communicate()


def connected() -> Namespaces:
    """The machines; skips the test where they cannot be had, and says why."""
    found: Namespaces | None = None
    try:
        found = Namespaces()
        found.connect()
    except (OSError, subprocess.CalledProcessError) as error:
        if found is not None:
            found.close()
        pytest.skip(
            "needs network namespaces: run as root with unshare, nsenter and ip installed "
            f"({getattr(error, 'stderr', None) or error})"
        )
    return found


def needs(program: str, package: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"needs {program}: install {package} and run it again")
    return path


def midwire(network: Namespaces, name: str, *words: str) -> Child:
    """A ``midwire`` command on a machine."""
    command = [sys.executable, "-m", "midwire.host.cli", *words, "--json"]
    return Child(words[0], network.inside(name, *command))


SNMP = """
for name in ("snmp", "netstat"):
    rows = [line.split() for line in open(f"/proc/net/{name}")]
    for names, values in zip(rows[::2], rows[1::2]):
        for item in zip(names[1:], values[1:]):
            print(names[0] + item[0], item[1])
for line in open("/proc/net/snmp6"):
    print(*line.split())
"""


def kernel_counters(network: Namespaces, name: str) -> dict[str, int]:
    """What the kernel of a machine counted, as ``Tcp:RetransSegs`` and ``Udp6InCsumErrors``."""
    lines = network.python(name, SNMP).splitlines()
    return {key: int(value) for key, value in map(str.split, lines)}
