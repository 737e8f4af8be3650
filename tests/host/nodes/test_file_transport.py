# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The recorded-file transport, around the pipeline that passes every frame on."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from midwire.host.nodes.nic_process import FileWire, NicProcess
from midwire.host.nodes.process import STOP_SECONDS
from midwire.hw.formats.csr import Register

from .loop import program_of
from .recordings import BIG, LITTLE, read_pcap, write_pcap

REGISTERS = [Register("frames", 0, 32, "counter", 0, "frames")]


def replay(program: Path, wire: FileWire) -> dict[str, Any]:
    with NicProcess(program, [*wire.words(), "--quiet", "100"], registers=REGISTERS) as running:
        running.start()
        [last] = running.events()
        assert running.bus.read("frames") == last["pipeline"]["frames"]  # registers still answer
        started = time.monotonic()
        assert running.stop() == {}
        assert time.monotonic() - started < STOP_SECONDS / 2  # its last words were said before
        return last


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_what_was_recorded_comes_out(passthrough: Path, tmp_path: Path, order: str) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    frames = [rng.randbytes(rng.randrange(14, 1600)) for _ in range(1500)]  # more than the queue
    wire = FileWire(tmp_path / "in.pcap", tmp_path / "out.pcap")
    write_pcap(wire.read, frames, order)
    last = replay(passthrough, wire)
    assert last["event"] == "stopped"
    assert last["pipeline"] == {"frames": len(frames)}
    assert read_pcap(wire.write) == frames
    first = wire.write.read_bytes()
    replay(passthrough, wire)
    assert wire.write.read_bytes() == first


def test_frames_that_do_not_fit_are_counted(passthrough: Path, tmp_path: Path) -> None:
    wire = FileWire(tmp_path / "in.pcap", tmp_path / "out.pcap")
    frames = [b"a" * 60, b"b" * 20_000, b"c" * 61, b""]
    write_pcap(wire.read, [*frames, b"d" * 100])
    wire.read.write_bytes(wire.read.read_bytes()[:-50])  # a recording that was cut off
    last = replay(passthrough, wire)
    assert (last["rx_frames"], last["rx_too_long"], last["rx_cut_off"]) == (2, 1, 1)
    assert (last["rx_empty"], last["frames_in"], last["frames_bad"]) == (1, 2, 0)
    assert read_pcap(wire.write) == [frames[0], frames[2]]


def test_it_ends_whenever_the_datapath_finds_that_nothing_is_inside(tmp_path: Path) -> None:
    """Also between two of its turns, when it says how long to wait."""
    program = program_of("late_datapath.cpp", "nic.cpp")
    wire = FileWire(tmp_path / "in.pcap", tmp_path / "out.pcap")
    frames = [b"a" * 60, b"b" * 61]
    write_pcap(wire.read, frames)
    with NicProcess(program, wire.words(), registers=[]) as running:
        running.start()
        [last] = running.events()
    assert (last["event"], last["rx_frames"]) == ("stopped", 2)
    assert read_pcap(wire.write) == frames


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no pcap file"),
        (bytes(24), "is no pcap file"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "is no pcap file"),  # pcapng
        (b"\xa1\xb2\xc3\xd4" + bytes(20), "has no Ethernet frames"),
    ],
)
def test_other_files_are_refused(
    passthrough: Path, tmp_path: Path, data: bytes, problem: str
) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(data)
    words = [str(passthrough), *FileWire(path, tmp_path / "out.pcap").words()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"nic: {path} {problem}\n")
