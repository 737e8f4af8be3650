# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire steer`` on a running NIC: what it shows, changes and refuses."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midwire.host import cli
from midwire.host.control.steering_table import NextHop, SteeringEntry, SteeringTable
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import fragments
from midwire.hw.formats.actions import ENTRIES, Action
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.wire import Header

from ..conftest import send

HERE = ("127.0.0.1", 0)
HOP = "02:00:00:00:00:09,10.0.0.9,2001:db8::9,5220"
NEXT_HOP = NextHop(
    0x020000000009,
    5220,
    ipaddress.IPv4Address("10.0.0.9"),
    ipaddress.IPv6Address("2001:db8::9"),
)


class Steered:
    """A NIC, and the command on it."""

    def __init__(
        self, nic: NicProcess, control: Path, hop: UdpPort, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.table = SteeringTable(nic.bus)
        self.nic, self.control, self.hop, self._capsys = nic, control, hop, capsys

    def text(self, name: str, *words: str, status: int = 0) -> str:
        assert cli.main(["steer", name, str(self.control), *words]) == status
        out, err = self._capsys.readouterr()
        return err if status else out

    def json(self, name: str, *words: str) -> Any:
        return json.loads(self.text(name, *words, "--json"))


@pytest.fixture
def steered(
    digits: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Steered]:
    control = tmp_path / "control"
    with (
        UdpPort() as hop,
        start_nic(
            digits,
            UdpWire(HERE, [hop.address]),
            hop.address,
            datapath="reference",
            tenant=7,
            control=control,
        ) as nic,
    ):
        yield Steered(nic, control, hop, capsys)


def test_set_list_and_clear(steered: Steered, digits: Bundle) -> None:
    key = ["--tenant", "9", "--model", "0123456789abcdef", "--cursor", "2"]
    limits = ["--region", "0,4-7", "--must-encrypt", "--expires", "30"]
    words = ["--action", "forward", *key, "--next-hop", HOP, *limits]
    set_ = steered.json("set", "15", *words)
    expected = SteeringEntry(
        9, bytes.fromhex("0123456789abcdef"), 2, Action.FORWARD, NEXT_HOP, 0xF1, True, 30_000_000
    )
    assert steered.table.entries() == {15: expected}
    listed = steered.json("list")
    ip, port = steered.hop.address
    assert listed == {
        "entries": [set_],
        "places": ENTRIES,
        "next_hop": {"mac": "02:00:7f:00:00:01", "ip": ip, "ip6": None, "port": port},
        "loaded": {"tenant": 7, "model": digits.model_hash.hex(), "cursor": 0},
    }
    assert set_ == {
        "index": 15,
        "tenant": 9,
        "model": "0123456789abcdef",
        "cursor": 2,
        "action": "forward",
        "next_hop": {
            "mac": "02:00:00:00:00:09", "ip": "10.0.0.9", "ip6": "2001:db8::9", "port": 5220,
        },
        "regions": [0, 4, 5, 6, 7],
        "must_encrypt": True,
        "expires": 30.0,
        "hits": 0,
        "remarks": [],
    }  # fmt: skip
    assert steered.json("clear", "3", "15") == {"removed": [15]}
    assert steered.table.entries() == {}
    assert steered.text("clear", "--all") == "there was no entry\n"


def test_what_is_left_out_is_the_nics_own(steered: Steered, digits: Bundle) -> None:
    steered.nic.bus.write("cursor", 3)
    steered.json("set", "0", "--action", "redirect")
    assert steered.table.entries() == {0: SteeringEntry(7, digits.model_hash, 3, Action.REDIRECT)}
    steered.json("set", "0", "--action", "redirect", "--model", str(digits.root), "--cursor", "0")
    assert steered.table.entries() == {0: SteeringEntry(7, digits.model_hash, 0, Action.REDIRECT)}


def test_the_table_for_people(steered: Steered, digits: Bundle) -> None:
    hash_, (ip, port) = digits.model_hash.hex(), steered.hop.address
    rest = (
        f"other frames go to 02:00:7f:00:00:01,{ip},{port}\n"
        f"loaded here: tenant 7, model {hash_}, cursor 0\n"
    )
    assert steered.text("list") == f"no entries\n{rest}"
    steered.text("set", "1", "--action", "forward", "--next-hop", HOP, "--region", "0-1")
    steered.text("set", "12", "--action", "execute", "--expires", "1.5")
    pad = " " * (len(HOP) - 7)
    assert steered.text("list") == (
        f"entry  tenant  model             cursor  action   next hop{pad[1:]}  hits  for\n"
        f"1      7       {hash_}  0       forward  {HOP}  0     regions 0-1\n"
        f"12     7       {hash_}  0       execute  default{pad}  0     1.5 s from when it was set\n"
        "  ! no frame comes here: entry 1 has the same\n"
        f"{rest}"
    )
    assert steered.text("clear", "12", "1", "12") == "removed: 1, 12\n"


def test_hits_are_shown(steered: Steered, digits: Bundle) -> None:
    steered.text("set", "4", "--action", "execute", "--tenant", "9")
    steered.text("set", "5", "--action", "redirect", "--expires", "0.000001")
    header = Header(model_hash=digits.model_hash, tenant=9, request_id=1, deadline_us=10**6)
    spec = digits.manifest.inputs[0]
    with UdpPort() as client:
        for data in fragments.datagrams(header, bytes(spec.wire_bytes), 1500):
            send(client, data, len(data), steered.nic.address)
        assert list(steered.hop.receive(5))
    [entry] = steered.json("list")["entries"]
    assert (entry["index"], entry["hits"]) == (4, 1)
    assert entry["remarks"] == ["another slice is loaded, so frames are declined"]


def test_a_file_is_the_whole_table(steered: Steered, tmp_path: Path, digits: Bundle) -> None:
    for place in (0, 1, 14):
        steered.text("set", str(place), "--action", "redirect")
    path = tmp_path / "table.toml"
    path.write_text(f'[[entry]]\naction = "forward"\nnext_hop = "{HOP}"\n')
    applied = steered.json("apply", str(path))
    expected = SteeringEntry(7, digits.model_hash, 0, Action.FORWARD, NEXT_HOP)
    assert steered.table.entries() == {0: expected}
    assert applied == steered.json("list")
    path.write_text('[[entry]]\naction = "forward"\n[[entry]]\naction = "none"\n')
    assert "nothing was changed" in steered.text("apply", str(path), status=1)
    assert steered.table.entries() == {0: expected}
    path.write_text(16 * '[[entry]]\naction = "forward"\n')
    assert len(steered.json("apply", str(path))["entries"]) == ENTRIES
    path.write_text("")
    assert steered.json("apply", str(path))["entries"] == []


@pytest.mark.parametrize(
    ("words", "option", "found"),
    [
        ("set 16 --action forward", "'INDEX'", "less than or equal to 15"),
        ("set 0 --action drop", "'--action'", "'execute', 'forward', 'redirect'"),
        ("set 0 --action forward --tenant 65536", "'--tenant'", "less than or equal to 65535"),
        ("set 0 --action forward --model x", "--model", "expected 16 hexadecimal digits"),
        ("set 0 --action forward --next-hop x", "--next-hop", "expected MAC,IP,PORT"),
        ("set 0 --action forward --region 16", "--region", "regions from 0 to 15"),
        ("set 0 --action forward --expires 0", "--expires", "expected seconds, more than 0"),
        ("clear", "INDEX", "give places, or --all"),
        ("clear 1 --all", "INDEX", "give places, or --all"),
    ],
)
def test_wrong_usage_changes_nothing(steered: Steered, words: str, option: str, found: str) -> None:
    name, *rest = words.split()
    said = steered.text(name, *rest, status=2)
    assert f"Invalid value for {option}: " in said and found in said
    assert said.endswith(f" See: midwire steer {name} --help.\n")
    assert steered.table.entries() == {}


def test_a_file_that_is_not_there(steered: Steered, tmp_path: Path) -> None:
    said = steered.text("apply", str(tmp_path / "none.toml"), status=2)
    assert "none.toml: cannot be read; expected a TOML file; found No such file" in said


def test_a_nic_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["steer", "list", str(tmp_path / "none")]) == 1
    assert "no NIC at the control socket" in capsys.readouterr().err
