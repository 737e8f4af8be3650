# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The command, and what it writes in tshark itself; ``wire/test_lua_dissector.py`` needs none."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest

from midwire.host import cli
from midwire.host.wire import lua_dissector
from midwire.hw.formats import wire
from midwire.hw.formats.fragments import datagrams
from midwire.hw.formats.wire import DeclineReason, ElementType, Header

from .nodes.recordings import frame, write_pcap

CLIENT, OURS, ANY = ("10.0.0.1", 40000), ("10.0.0.2", wire.UDP_PORT), ("10.0.0.3", 33333)
HEADER = Header(
    declined=True,
    reason=DeclineReason.BUSY,
    tenant=0x1234,
    region=5,
    model_hash=b"\x01\x23\x45\x67\x89\xab\xcd\xef",
    cursor=1,
    slice_count=3,
    epoch=3,
    request_id=0xCAFE_0000_0000_0007,
    element_type=ElementType.INT8,
    deadline_us=0xFFFF_FFFF,
)


def test_the_command_writes_it_and_says_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "midwire.lua"
    assert cli.main(["dissector", "-o", str(file)]) == 0
    assert file.read_text("ascii") == lua_dissector.text()
    out = capsys.readouterr().out
    assert f"tshark -X lua_script:{file} -r FILE.pcap" in out
    assert lua_dissector.PLUGIN_FOLDER in out


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "midwire.lua"
    assert cli.main(["dissector", "-o", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(file),
        "udp_port": wire.UDP_PORT,
        "oldest_wireshark": "3.6",
        "plugin_folder": str(Path("~/.local/lib/wireshark/plugins").expanduser()),
    }


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dissector", "-o", str(tmp_path)]) == 1
    assert "the dissector cannot be written" in capsys.readouterr().err


class Tshark:
    """tshark with our dissector, on a recording."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.lua = folder / "midwire.lua"
        self.recording = folder / "frames.pcap"
        assert cli.main(["dissector", "-o", str(self.lua), "--json"]) == 0

    def show(self, *options: str) -> list[list[str]]:
        """Lines of tab-separated columns."""
        command = [self.program, "-n", "-X", f"lua_script:{self.lua}", "-r", str(self.recording)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "Lua" not in done.stderr, done.stderr
        assert "Lua Error" not in done.stdout
        return [line.split("\t") for line in done.stdout.splitlines()]

    def values(self, *names: str, where: str = "midwire") -> list[list[str]]:
        """Of each datagram's fields, without the protocol's name."""
        wanted = [word for name in names for word in ("-e", name)]
        return self.show("-Y", where, "-T", "fields", *wanted)

    def lines(self) -> list[str]:
        """The packet list: protocol and info."""
        shown = self.show("-o", 'gui.column.format:"Protocol","%p","Info","%i"')
        return [" ".join(line[0].split()) for line in shown]


@pytest.fixture
def tshark(tmp_path: Path) -> Tshark:
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("needs tshark 3.6 or newer: install it (Debian's package is called tshark)")
    return Tshark(program, tmp_path)


def as_number(text: str) -> int:
    return int({"True": "1", "False": "0"}.get(text, text), 0)  # a flag, by tshark's version


def test_tshark_shows_every_field(tshark: Tshark) -> None:
    sent = list(datagrams(HEADER, bytes(range(250)) * 12))
    write_pcap(tshark.recording, [frame(d, CLIENT, OURS) for d in sent])
    names = [f.name for f in fields(Header) if f.name != "model_hash"]
    rows = tshark.values(*(f"midwire.{name}" for name in names))
    assert len(rows) == len(sent) == 3
    for datagram, row in zip(sent, rows, strict=True):
        header = wire.decode(datagram)
        assert [as_number(text) for text in row] == [int(getattr(header, name)) for name in names]
    shown = tshark.values("midwire.model_hash", "midwire.crc", "midwire.crc.status")
    for datagram, (model_hash, crc, status) in zip(sent, shown, strict=True):
        assert bytes.fromhex(model_hash.replace(":", "")) == HEADER.model_hash
        assert (int(crc, 0), status) == (int.from_bytes(datagram[60:64], "big"), "1")
    assert tshark.lines() == [
        f"midwire TENSOR {index}/3 cursor 1/3 request 0xcafe000000000007 declined busy"
        for index in range(3)
    ]


def test_tshark_shows_what_is_wrong(tshark: Tshark) -> None:
    good = wire.encode(replace(HEADER, last=True, encrypted=True, total_bytes=4)) + bytes(20)
    damaged = good[:20] + b"\0" + good[21:]
    lie = wire.encode(replace(HEADER, total_bytes=4)) + bytes(4)
    frames = [(good, OURS), (damaged, OURS), (lie, OURS), (good[:30], OURS), (b"other", OURS)]
    write_pcap(tshark.recording, [frame(data, CLIENT, target) for data, target in frames])
    text = "0/1 cursor 1/3 request 0xcafe000000000007 declined busy"
    assert tshark.lines() == [
        f"midwire TENSOR {text} encrypted",
        f"midwire [bad CRC] TENSOR {text.replace('cursor 1', 'cursor 0')} encrypted",
        f"midwire [bad length] TENSOR {text}",
        "midwire [too short] 30 of a header's 64 bytes",
        f"UDP {CLIENT[1]} → {OURS[1]} Len=5",
    ]
    remarks = tshark.values("_ws.expert.message", where="midwire && !midwire.crc.status == 1")
    assert len(remarks) == 2
    assert remarks[0][0].startswith("The header was damaged: its CRC-32C is 0x")
    assert remarks[1][0] == "Shorter than a header: 30 of a header's 64 bytes"
    [[tag]] = tshark.values("midwire.tag", where="midwire.tag")
    assert bytes.fromhex(tag.replace(":", "")) == bytes(16)
    [[lies]] = tshark.values("_ws.expert.message", where="midwire.expert.length")
    assert "W2: flag last is 0 on fragment 0 of 1" in lies


def test_tshark_on_any_port(tshark: Tshark) -> None:
    """By content, with all that follows between the same sockets; or by Decode As."""
    good = wire.encode(replace(HEADER, last=True, total_bytes=4)) + bytes(4)
    damaged = good[:20] + b"\0" + good[21:]
    write_pcap(tshark.recording, [frame(d, CLIENT, ANY) for d in (damaged, good, damaged)])
    assert [line.split()[0] for line in tshark.lines()] == ["UDP", "midwire", "midwire"]
    decoded = tshark.show("-d", f"udp.port=={ANY[1]},midwire", "-Y", "midwire.crc.status == 0")
    assert len(decoded) == 2
