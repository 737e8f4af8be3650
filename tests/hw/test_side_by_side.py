# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Names in the pipeline of several bundles."""

from __future__ import annotations

from importlib.resources import files

import pytest

from midwire.hw.elaborate import prefixed
from midwire.hw.side_by_side import made_own, own_name

SLICE = """module mine_slice (input wire clk);
  mine_conv_1 conv (.clk(clk));
  other_mine_1 kept (.clk(clk), .mine_in(clk));
endmodule
module mine_conv_1 (input wire clk);
  mine_rom #(.FILE("mine_conv_1_weight.hex")) rom (.clk(clk));
endmodule
"""


def test_names_of_modules_are_a_cores_own() -> None:
    found = made_own(SLICE, "mine", 3)
    for name in ("slice", "conv_1", "rom"):
        assert f"core3_mine_{name} " in found
    assert found.count("core3_mine_") == 5
    assert '"mine_conv_1_weight.hex"' in found and "other_mine_1 kept" in found


@pytest.mark.parametrize("prefix", ["midwire", "mine"])
@pytest.mark.parametrize("kind", ["rom", "ram"])
def test_images_are_told_to_each_core(kind: str, prefix: str) -> None:
    text = files("midwire.hw").joinpath(f"verilog/mw_{kind}.v").read_text("utf-8")
    found = made_own(prefixed(text, prefix), prefix, 0)
    assert f"module {own_name(prefix, 0)}_{kind} #(" in found
    assert f'"core0_{prefix}_images=%s"' in found
    assert f'"{prefix}_images=' not in found


def test_cores_share_no_name() -> None:
    """Whatever their prefixes are."""
    prefixes = ["midwire", "midwire", "core0_midwire", "core1_core0_midwire"]
    names = [own_name(f"{prefix}_slice", core) for core, prefix in enumerate(prefixes)]
    assert len(set(names)) == len(names)
