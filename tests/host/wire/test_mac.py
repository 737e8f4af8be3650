# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MAC addresses in both directions."""

from __future__ import annotations

import random

import pytest

from midwire.host.wire.mac import EXAMPLE, format_mac, parse_mac


def test_both_directions() -> None:
    for mac in (0, (1 << 48) - 1, *(random.getrandbits(48) for _ in range(20))):
        assert parse_mac(format_mac(mac)) == parse_mac(format_mac(mac).upper()) == mac
    assert parse_mac(EXAMPLE) == 0x02007F000001


@pytest.mark.parametrize("text", ["", "02:00:7f:00:00", "2:0:7f:0:0:1", "02-00-7f-00-00-01", "x"])
def test_what_is_none(text: str) -> None:
    assert parse_mac(text) is None
