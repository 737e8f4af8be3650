# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries of the steering table as texts, in both directions, and what is said of wrong ones."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.host.control.steering_table import NextHop, SteeringEntry
from midwire.host.control.steering_text import (
    ActionName,
    Key,
    described,
    lifetime_of,
    model_of,
    next_hop_of,
    next_hop_text,
    regions_of,
    regions_text,
    remarks,
)
from midwire.hw.formats.actions import ANY_REGION, Action

from ..conftest import make_bundle

IP, IP6 = ipaddress.IPv4Address("10.0.0.9"), ipaddress.IPv6Address("2001:db8::9")
MAC = "02:00:00:00:00:09"


def test_every_action_has_its_name() -> None:
    assert [name.action for name in ActionName] == list(Action)[1:]
    assert [name.value for name in ActionName] == [action.name.lower() for action in Action][1:]


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        (f"{MAC},10.0.0.9,5220", NextHop(0x020000000009, 5220, IP)),
        (f"{MAC},2001:db8::9,1", NextHop(0x020000000009, 1, None, IP6)),
        (f"{MAC},10.0.0.9,2001:db8::9,65535", NextHop(0x020000000009, 65535, IP, IP6)),
    ],
)
def test_next_hops_both_ways(text: str, hop: NextHop) -> None:
    assert next_hop_of(text) == hop
    assert next_hop_text(hop) == text


def test_addresses_of_a_next_hop_in_any_order() -> None:
    assert next_hop_of(f"{MAC},2001:db8::9,10.0.0.9,7") == NextHop(0x020000000009, 7, IP, IP6)


def test_masks_of_regions_both_ways() -> None:
    source = random.Random(7)
    for mask in (0, 1, 0x8000, ANY_REGION, 0xF0F1, *(source.getrandbits(16) for _ in range(200))):
        assert regions_of(regions_text(mask)) == mask
    assert (regions_text(ANY_REGION), regions_text(0), regions_text(0xF1)) == (
        "any",
        "none",
        "0,4-7",
    )
    assert regions_of("3,0-1,1,15") == 0x800B


def test_lifetimes() -> None:
    assert (lifetime_of(1e-9), lifetime_of(0.25), lifetime_of(30)) == (1, 250_000, 30_000_000)
    assert lifetime_of(4294.967295) == (1 << 32) - 1


def test_a_model_is_a_hash_or_a_bundle(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "some.mw")
    assert model_of("some.mw", tmp_path) == bundle.model_hash
    assert model_of(str(tmp_path / "some.mw"), Path()) == bundle.model_hash
    assert model_of("0123456789abcDEF", tmp_path) == bytes.fromhex("0123456789abcdef")


NEXT_HOP = (
    "expected MAC,IP,PORT, as in 02:00:7f:00:00:01,10.0.0.9,5220, perhaps with an IPv6 address, "
    "too; found "
)


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (next_hop_of, "10.0.0.9:5220", f"{NEXT_HOP}'10.0.0.9:5220'"),
        (next_hop_of, f"{MAC},10.0.0.9", f"{NEXT_HOP}'{MAC},10.0.0.9'"),
        (next_hop_of, f"2,10.0.0.9,{5}", f"{NEXT_HOP}'2,10.0.0.9,5'"),
        (next_hop_of, f"{MAC},10.0.0.9,0", f"{NEXT_HOP}'{MAC},10.0.0.9,0'"),
        (next_hop_of, f"{MAC},10.0.0.9,65536", f"{NEXT_HOP}'{MAC},10.0.0.9,65536'"),
        (next_hop_of, f"{MAC},10.0.0.9,5,6,7", f"{NEXT_HOP}'{MAC},10.0.0.9,5,6,7'"),
        (next_hop_of, f"{MAC},cloud,5", "expected an IPv4 or IPv6 address; found 'cloud'"),
        *(
            (
                next_hop_of,
                f"{MAC},{ip},5",
                f"expected the address of one machine, without a zone; found '{ip}'",
            )
            for ip in ("0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "fe80::1%eth0")
        ),
        (
            next_hop_of,
            f"{MAC},10.0.0.9,10.0.0.8,5",
            f"expected one address of each IP version; found '{MAC},10.0.0.9,10.0.0.8,5'",
        ),
        *(
            (
                regions_of,
                text,
                f"expected any, none, or regions from 0 to 15, as in 0,4-7; found '{text}'",
            )
            for text in ("", "16", "4-3", "0,,1", "-1", "0-16", "all", "٣")
        ),
        *(
            (
                lifetime_of,
                seconds,
                f"expected seconds, more than 0 and at most 4295 (71 minutes); found {seconds:g}",
            )
            for seconds in (0, -1, 4295, float("nan"), float("inf"))
        ),
        (
            lambda text: model_of(text, Path()),
            "digits",
            "expected 16 hexadecimal digits, or a bundle's folder; found 'digits'",
        ),
    ],
)
def test_what_is_wrong_is_said(read: Callable[[Any], Any], value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(value)
    assert str(caught.value) == message


def test_described_for_programs() -> None:
    entry = SteeringEntry(
        7, bytes(range(8)), 1, Action.FORWARD, NextHop(9, 5220, IP), 0x8001, True, 1_500_000
    )
    assert described(entry) == {
        "tenant": 7,
        "model": "0001020304050607",
        "cursor": 1,
        "action": "forward",
        "next_hop": {"mac": "00:00:00:00:00:09", "ip": "10.0.0.9", "ip6": None, "port": 5220},
        "regions": [0, 15],
        "must_encrypt": True,
        "expires": 1.5,
    }
    plain = described(SteeringEntry(7, bytes(8), 1, Action.EXECUTE))
    assert plain["next_hop"] is plain["expires"] is None and plain["regions"] == list(range(16))


def test_remarks_on_what_is_odd() -> None:
    loaded = Key(7, bytes(8), 0)
    mine = SteeringEntry(*loaded, Action.EXECUTE)
    others = SteeringEntry(8, bytes(8), 0, Action.EXECUTE)
    secret = SteeringEntry(*loaded, Action.EXECUTE, None, 0, True)
    table = {2: mine, 3: others, 9: secret, 10: SteeringEntry(8, bytes(8), 0, Action.FORWARD)}
    assert {index: remarks(index, table, loaded) for index in table} == {
        2: [],
        3: ["another slice is loaded, so frames are declined"],
        9: [
            "no frame comes here: entry 2 has the same",
            "executes nothing: the NIC cannot decrypt",
            "allows no region, so frames are declined",
        ],
        10: ["no frame comes here: entry 3 has the same"],
    }
