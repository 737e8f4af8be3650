# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A network with a NIC in it: other people's programs work through it while it infers.

Everything is as docs/running.md says it, a machine each for edge, NIC and cloud.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from midwire.host import cli
from midwire.host.model_parts import load_part
from midwire.host.nodes.process import Child
from midwire.host.wire.tensors import fingerprint_of
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.kernels.reference import Reference

from .namespaces import (
    ADDRESSES,
    FAR,
    FAR_6,
    FAR_MAC,
    NEAR,
    NEAR_6,
    SIDES,
    Namespaces,
    midwire,
    needs,
)
from .test_interface_transport import LOST, arrives, wrong_checksums

SAMPLES = 20
SMALL_MTU = 236  # a request is a train of four datagrams, which the interface hands on uncut


class Inference:
    """An edge that asks without end, and checks every answer."""

    def __init__(self, network: Namespaces, digits: Bundle, samples: AnyArray, path: Path) -> None:
        part, reference = load_part(digits, "edge"), Reference.of_bundle(digits)
        self._expected = []
        for sample in samples[:SAMPLES]:
            results = reference.run_wire([array.ravel()[None] for array in part.run([sample])])
            outputs = [result[0] for result in results]
            self._expected.append(fingerprint_of(digits.manifest.outputs, outputs))
        np.savez(path, in0=np.tile(samples[:SAMPLES], (500, 1, 1, 1, 1)))
        words = ["--target", f"{FAR}:5220", "--bind", f"{NEAR}:0", "--inputs", str(path)]
        words += ["--mtu", str(SMALL_MTU)]
        self.edge = midwire(network, "near", "edge", str(digits.root), *words)
        self.by_nic = self.answers = 0

    def look(self, more: int = 1) -> None:
        """Wait for so many more answers; each must be right."""
        for _ in range(max(more, self.edge.events.qsize())):
            event = self.edge.events.get(timeout=60)
            assert event is not None and event["event"] == "reply", event
            assert event["slice_sha256"] == self._expected[event["sample"] % SAMPLES]
            self.answers += 1
            self.by_nic += event["executed_by"] == "nic"


@pytest.fixture
def busy(
    network: Namespaces, digits: Bundle, samples: AnyArray, tmp_path: Path
) -> Iterator[Namespaces]:
    """The machines, while the NIC between them infers: every answer is right, nothing is lost."""
    network.mtu(9000)
    root = str(digits.root)
    hop = ["--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
    with contextlib.ExitStack() as stack:
        cloud = midwire(network, "far", "cloud", root, "--listen", f"{FAR}:5220")
        stack.enter_context(cloud).ready(60)
        nic = midwire(network, "middle", "nic", root, "--wire", *SIDES, *hop)
        stack.enter_context(nic).ready(120)
        asking = Inference(network, digits, samples, tmp_path / "in.npz")
        stack.enter_context(asking.edge).ready(60)
        asking.look()
        before = asking.answers
        yield network
        asking.look()
        assert asking.answers > before
        assert asking.by_nic == asking.answers
        last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    assert [last[name] for name in LOST] == [0] * len(LOST)
    assert last["rx_kernel_dropped"] == last["frames_bad"] == 0
    assert last["rx_merged"] >= asking.answers
    assert last["pipeline"]["results"] >= asking.answers
    assert wrong_checksums(network) == []


@pytest.mark.parametrize(("address", "around"), [(FAR, 28), (FAR_6, 48)])
def test_ping_of_every_size(address: str, around: int, busy: Namespaces) -> None:
    """Down to no byte, up to the longest frame, and in fragments of several; both directions."""
    ping = needs("ping", "iputils-ping")
    back = NEAR if address == FAR else NEAR_6
    whole = [("-M", "do", "-s", str(n)) for n in (0, 1, 17, 18, 1500 - around, 9000 - around)]
    for size in (*whole, ("-s", "20000")):
        for name, to in (("near", address), ("far", back)):
            # One each: for a second answer it would wait no longer than twice the first one took.
            assert " 0% packet loss" in busy.run(name, ping, "-c", "1", "-W", "20", *size, to)


@pytest.mark.parametrize("which", [0, 1])
def test_tcp_in_both_directions(which: int, busy: Namespaces) -> None:
    assert arrives(busy, "near", "far", ADDRESSES["far"][which], 1_000_000)
    assert arrives(busy, "far", "near", ADDRESSES["near"][which], 1_000_000)


@pytest.mark.parametrize("way", [[], ["--reverse"]])
@pytest.mark.parametrize("address", [FAR, FAR_6])
def test_iperf3(address: str, way: list[str], busy: Namespaces) -> None:
    iperf3 = needs("iperf3", "iperf3")
    command = busy.inside("far", iperf3, "--server", "--one-off", "--forceflush")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            while "listening" not in server.stdout.readline():
                pass
            words = ["--client", address, "--bytes", "2M", "--json", *way]
            told = json.loads(busy.run("near", iperf3, *words))
        finally:
            server.kill()
    assert told["end"]["sum_sent"]["bytes"] >= 2_000_000
    assert told["end"]["sum_received"]["bytes"] > 500_000  # it does not wait for the last ones


@pytest.mark.parametrize("host", [FAR, f"[{FAR_6}]"])
def test_curl(host: str, busy: Namespaces, tmp_path: Path) -> None:
    curl = needs("curl", "curl")
    data = np.random.default_rng(1).bytes(500_000)
    (tmp_path / "file").write_bytes(data)
    words = ["-m", http.server.__name__, "--bind", host.strip("[]"), "--directory", str(tmp_path)]
    command = busy.inside("far", sys.executable, "-u", *words, "8000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None and b"Serving" in server.stdout.readline()
            got = tmp_path / "got"
            busy.run("near", curl, "--fail", "--silent", "-o", str(got), f"http://{host}:8000/file")
        finally:
            server.kill()
    assert got.read_bytes() == data


def test_vlan_devices(busy: Namespaces) -> None:
    """Tagged by the machines themselves; ``test_interface_transport.py`` has tags byte by byte."""
    for name, ours in ADDRESSES.items():
        words = ("link", "eth0", "name", "eth0.5", "type", "vlan", "id", "5")
        try:
            busy.run(name, "ip", "link", "add", *words)
        except subprocess.CalledProcessError as error:
            pytest.skip(
                f"needs VLAN devices: `modprobe 8021q`, if the kernel has it ({error.stderr})"
            )
        busy.run(name, "ip", "link", "set", "eth0.5", "up")
        busy.address(name, "eth0.5", *(text.replace("111", "112") for text in ours))
    for address in ADDRESSES["far"]:
        assert arrives(busy, "near", "far", address.replace("111", "112"), 300_000)


def test_neighbour_discovery_from_nothing(busy: Namespaces) -> None:
    """Solicitations are multicast: they reach who is asked, through a NIC that is asked nothing."""
    for name in ADDRESSES:
        busy.run(name, "ip", "neighbour", "flush", "dev", "eth0")
    assert arrives(busy, "near", "far", FAR_6, 1000)
    assert "REACHABLE" in busy.run("near", "ip", "-6", "neighbour", "show", FAR_6)


def commands_of(title: str) -> list[list[str]]:
    """The commands of a section of docs/running.md that begin with ``midwire``, as words."""
    page = Path(__file__).resolve().parents[3] / "docs" / "running.md"
    section = page.read_text(encoding="utf-8").split(f"\n### {title}\n")[1].split("\n### ")[0]
    block = section.split("```sh\n")[1].split("```")[0]
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def test_the_documented_commands_on_three_machines(
    network: Namespaces, digits: Bundle, samples: AnyArray, tmp_path: Path
) -> None:
    """As a user types them, but for the names of interfaces, bundle and addresses."""
    there = {"digits.mw": str(digits.root), "mine.npz": str(tmp_path / "mine.npz"),
             "eth1": "left", "eth2": "right"}  # fmt: skip
    np.savez(tmp_path / "mine.npz", in0=samples[:5])
    cloud, nic, edge = (
        [there.get(word, word.replace("10.0.0.", "10.111.0.")) for word in command]
        for command in commands_of("A bump in the wire")
    )
    assert [command[:2] for command in (cloud, nic, edge)] == [
        ["midwire", name] for name in ("cloud", "nic", "edge")
    ]
    with midwire(network, "far", *cloud[1:]) as far, midwire(network, "middle", *nic[1:]) as middle:
        far.ready(60)
        middle.ready(120)
        words = network.inside("near", sys.executable, "-m", "midwire.host.cli", *edge[1:])
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("edge: 5 samples from 10.111.0.1:")
    assert "5 replies (5 slices executed in the NIC, 0 in the cloud)" in done.stdout


def test_the_dissector_decodes_what_passes(
    network: Namespaces, digits: Bundle, samples: AnyArray, tmp_path: Path
) -> None:
    tshark = needs("tshark", "tshark")
    plugin, recording = tmp_path / "midwire.lua", tmp_path / "right.pcap"
    assert cli.main(["dissector", "-o", str(plugin)]) == 0
    np.savez(tmp_path / "in.npz", in0=samples[:3])
    root, hop = str(digits.root), ["--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
    watch = network.inside("far", tshark, "-i", "eth0", "-w", str(recording), "-q")
    with (
        midwire(network, "far", "cloud", root, "--listen", f"{FAR}:5220") as far,
        midwire(network, "middle", "nic", root, "--wire", *SIDES, *hop) as nic,
        Child("tshark", watch) as capture,
    ):
        far.ready(60)
        nic.ready(120)
        until = time.monotonic() + 20
        while not recording.exists() or recording.stat().st_size == 0:
            assert time.monotonic() < until, capture.status
            time.sleep(0.1)
        words = ["--target", f"{FAR}:5220", "--bind", f"{NEAR}:0", "--decline", "0"]
        words += ["--inputs", str(tmp_path / "in.npz")]
        network.run("near", sys.executable, "-m", "midwire.host.cli", "edge", root, *words)
        time.sleep(1.0)  # until it has written what it saw
    shown = decoded(tshark, plugin, recording)
    tensors = [line for line in shown if "TENSOR" in line]
    assert len([line for line in tensors if "declined policy" in line]) > 0
    assert len([line for line in tensors if "declined" not in line]) >= 3
    assert not [line for line in shown if "Malformed" in line or "Lua Error" in line]


def decoded(tshark: str, plugin: Path, recording: Path) -> list[str]:
    """A line for each of our datagrams."""
    words = [tshark, "-X", f"lua_script:{plugin}", "-r", str(recording), "-Y", "midwire"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
