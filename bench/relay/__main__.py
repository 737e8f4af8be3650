# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame costs in the NIC's packet loop, beside what does the same without a NIC.

``python -m bench.relay`` in the checkout, as root: a minute. Two machines that are network
namespaces, one sends datagrams to the other; between them is the loop around a datapath that hands
everything on, or its rival in the same run: for interfaces the kernel's own bridge, for UDP sockets
``socat``, if it is installed. ``--cpp FOLDER`` takes the loop's sources from elsewhere, to compare.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from midwire.host.nodes.nic_process import InterfaceWire, UdpWire
from midwire.host.nodes.nic_program import FOLDER, GENERATED
from midwire.host.nodes.process import Child
from midwire.host.wire.peers import ANYBODY
from midwire.sim.program import build_program
from tests.host.conftest import HELLO, cpu_ticks
from tests.host.nodes.namespaces import FAR, NEAR, SIDES, Namespaces

HERE = Path(__file__).resolve().parent
PORT = 7000
LOADS = {
    "single": (1, 1400, 100_000),
    "trains of 40": (40, 1400, 100_000),
    "short": (1, 64, 100_000),
}
"""Datagrams in a call to the kernel, their bytes, and how many are sent a second at most."""


class Run:
    """One load through one relay."""

    def __init__(self, traffic: Path, count: int) -> None:
        self._traffic, self._count = str(traffic), count

    def measure(self, network: Namespaces, load: str, to: tuple[str, int], pid: int | None) -> str:
        """A row: how many arrived, at which rate, and what one of them cost the relay."""
        train, size, rate = LOADS[load]
        words = network.inside("far", self._traffic, "count", FAR, str(PORT))
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as counting:
            assert counting.stdout is not None and counting.stdout.readline() == "ready\n"
            before, start = (0 if pid is None else cpu_ticks(pid)), time.monotonic()
            numbers = [str(n) for n in (to[1], size, self._count, train, rate)]
            network.run("near", self._traffic, "send", to[0], *numbers, HELLO.hex())
            arrived = int(counting.communicate(timeout=60)[0])
            seconds = time.monotonic() - start - 1.0
        spent = "-" if pid is None else f"{1e4 * (cpu_ticks(pid) - before) / max(arrived, 1):.2f}"
        share, rate_found = arrived / self._count, arrived / seconds
        return f"| {load} | {share:.1%} | {rate_found:,.0f} | {spent} |"


def wired(network: Namespaces, program: Path, run: Run, load: str) -> list[str]:
    """The loop between two interfaces, and the kernel's bridge in its place."""
    words = InterfaceWire(SIDES, (FAR, PORT)).words()
    with Child("relay", network.inside("middle", str(program), *words)) as relay:
        relay.ready(30)
        relay.tell("start")
        ours = run.measure(network, load, (FAR, PORT), relay.pid)
    network.bridge()
    rival = run.measure(network, load, (FAR, PORT), None)
    return [f"| --wire {ours}", f"| kernel's bridge {rival}"]


def by_sockets(network: Namespaces, program: Path, run: Run, load: str) -> list[str]:
    """The loop over UDP sockets on the sender's machine, and socat in its place."""
    network.bridge()
    words = UdpWire((NEAR, PORT), [(FAR, PORT)], [ANYBODY]).words()
    with Child("relay", network.inside("near", str(program), *words)) as relay:
        relay.ready(30)
        relay.tell("start")
        rows = [f"| UDP {run.measure(network, load, (NEAR, PORT), relay.pid)}"]
    if shutil.which("socat"):
        take = f"UDP4-RECV:{PORT},bind={NEAR},rcvbuf=4194304"
        words = ["socat", "-u", take, f"UDP4-SENDTO:{FAR}:{PORT}"]
        with subprocess.Popen(network.inside("near", *words)) as socat:
            time.sleep(0.3)
            rows.append(f"| socat {run.measure(network, load, (NEAR, PORT), socat.pid)}")
            socat.kill()
    return rows


def main(arguments: Sequence[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400_000, help="datagrams of each load")
    parser.add_argument("--cpp", type=Path, default=FOLDER, help="folder of the loop's sources")
    options = parser.parse_args(arguments)
    sources = [options.cpp / "nic.cpp", HERE / "datapath.cpp"]
    relay = build_program("relay", sources, GENERATED)
    run = Run(build_program("traffic", [HERE / "traffic.cpp"], {}), options.count)
    print(f"{os.cpu_count()} cores, kernel {os.uname().release}\n")
    print("| relay | load | arrived | datagrams/s | CPU us a datagram, relay only |")
    print("|---|---|---|---|---|")
    for kind in (wired, by_sockets):
        for load in LOADS:
            network = Namespaces()
            try:
                network.connect()
                print("\n".join(kind(network, relay, run, load)), flush=True)
            finally:
                network.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
