# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames in beats of other widths, in Amaranth's simulator, with pauses on both sides."""

from __future__ import annotations

import pytest

from midwire.hw.nic.wide.convert import Narrower, Widener

from ...shells.test_frames import run
from ..conftest import Tools


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("wide", [16, 32, 64])
def test_frames_keep_their_bytes_in_any_width(wide: int, pause: float, tools: Tools) -> None:
    frames = [tools.random.randbytes(n) for n in (1, 7, 8, 9, 15, 16, 17, 60, 63, 64, 65, 128, 200)]
    wanted = [(frame, int(len(frame) % 3 == 0)) for frame in frames]
    for component, width in ((Narrower(wide), wide), (Widener(wide), 8)):
        out = run(component, width, frames, tools.random, pause)
        assert [(data, bad) for data, bad, _ in out] == wanted
