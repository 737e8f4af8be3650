# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register description; the register file itself is tested in nic/test_registers.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from midwire.hw.formats import csr
from midwire.hw.formats.actions import ENTRIES
from midwire.hw.formats.slots import slots_of
from midwire.hw.formats.wire import DeclineReason


def test_c1_addresses() -> None:
    offsets = [address for register in csr.REGISTERS for address in register.addresses]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 1 << csr.ADDRESS_BITS for offset in offsets)
    counters = [index for index, r in enumerate(csr.REGISTERS) if r.access == "counter"]
    assert counters == list(range(counters[0], counters[-1] + 1))
    assert csr.REGISTERS[counters[0] - 1].offset < csr.COUNTERS_AT
    assert csr.COUNTERS_AT + 8 * len(csr.COUNTERS) <= csr.HITS_AT
    assert csr.HITS_AT + 8 * len(csr.HITS) <= csr.WEIGHTS_AT
    for register in csr.REGISTERS:
        assert 1 <= register.width <= (64 if register.access == "counter" else 32)
        assert 0 <= register.reset < 1 << register.width


def test_c3_every_outcome_and_reason_has_a_counter() -> None:
    counters = {r.name for r in csr.REGISTERS if r.access == "counter"}
    assert {outcome.name.lower() for outcome in csr.FrameOutcome} <= counters
    for reason in list(DeclineReason)[1:]:
        outcome = csr.FrameOutcome(csr.FIRST_DECLINED + reason - 1)
        assert outcome.name == f"DECLINED_{reason.name}"


def test_c7_every_place_of_the_steering_table_has_a_counter() -> None:
    counters = [r.name for r in csr.REGISTERS if r.access == "counter"]
    assert counters == [*csr.COUNTERS, *csr.HITS]
    assert [csr.ADDRESS[name] - csr.HITS_AT for name in csr.HITS] == list(range(0, 8 * ENTRIES, 8))


def test_settings_split_wide_values_and_enable_last() -> None:
    writes = csr.settings(control=1, model_hash=0x01234567_89ABCDEF, own_mac=0x0200_00000009)
    at = csr.ADDRESS
    assert writes == [
        (at["model_hash_high"], 0x01234567),
        (at["model_hash_low"], 0x89ABCDEF),
        (at["own_mac_high"], 0x0200),
        (at["own_mac_low"], 9),
        (at["control"], 1),
    ]


def test_c8_settings_name_the_core_first() -> None:
    writes = csr.settings(epoch=5, tenant=9, core_index=2)
    assert writes == [
        (csr.ADDRESS[n], v) for n, v in (("core_index", 2), ("tenant", 9), ("epoch", 5))
    ]
    of_core = [r.name for r in csr.REGISTERS if r.access == "model"]
    assert of_core == [
        "model_hash_high", "model_hash_low", "tenant", "cursor", "slice_count", "epoch",
        "element_type", "weights_hardware", "weights_port", "weights_model_hash_high",
        "weights_model_hash_low", "weights_epoch",
    ]  # fmt: skip
    assert csr.ADDRESS["core_index"] < min(csr.ADDRESS[name] for name in of_core)


def test_slots_are_shared_out_among_cores() -> None:
    """Each has its least and its most."""
    assert [slots_of(1500, cores) for cores in (1, 2, 8)] == [64, 64, 21]
    assert [slots_of(64, cores) for cores in (1, 8)] == [64, 64]
    assert [slots_of(50_000, cores) for cores in (1, 2, 8)] == [5, 4, 4]


def test_c4_settings_of_128_bits_are_four_registers() -> None:
    address = 0x20010DB8_00000001_00000002_F0000003
    writes = csr.settings(own_ip6=address, next_ip6=1)
    words = [address >> shift & 0xFFFF_FFFF for shift in (96, 64, 32, 0)]
    expected = [(csr.ADDRESS[f"own_ip6_{part}"], word) for part, word in enumerate(words)]
    expected += [(csr.ADDRESS[f"next_ip6_{part}"], int(part == 3)) for part in range(4)]
    assert writes == expected
    assert csr.parts_of("tenant") == ["tenant"]
    with pytest.raises(ValueError, match="register own_ip6_0 has too few bits for 0x100000000"):
        csr.settings(own_ip6=1 << 128)


def test_settings_that_are_wrong() -> None:
    with pytest.raises(ValueError, match="'status' is not a configuration register; there are"):
        csr.settings(status=1)
    with pytest.raises(ValueError, match="register tenant has too few bits for 0x10000"):
        csr.settings(tenant=65536)
    with pytest.raises(ValueError, match="register own_mac_high has too few bits"):
        csr.settings(own_mac=1 << 48)


def test_the_page_shows_the_table(root: Path) -> None:
    page = (root / "docs" / "nic.md").read_text("utf-8")
    found = re.search(r"<!-- registers: [^>]*-->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found
    assert found[1] == csr.table()
