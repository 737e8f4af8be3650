# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from midwire.hw.datapath.rom import Rom


def test_sizes() -> None:
    rom = Rom(8, 5, "a.hex")
    assert (rom.width, rom.depth, rom.file) == (8, 5, "a.hex")
    assert len(rom.addr) == 3


def test_messages() -> None:
    with pytest.raises(ValueError, match="file must be a plain file name"):
        Rom(8, 4, "a/b.hex")
    with pytest.raises(ValueError, match="a memory needs width and depth of at least 1, not 8 x 0"):
        Rom(8, 0, "b.hex")
