# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Tiny designs with AXI4-Streams, right and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from midwire.sim.build import build_model
from midwire.sim.model import Model

PASS = """
    reg [W-1:0] data; reg valid, last;
    assign s0_axis_tready = m0_axis_tready | ~valid;
    assign m0_axis_tdata = data; assign m0_axis_tvalid = valid; assign m0_axis_tlast = last;
    always @(posedge clk) begin
        if (s0_axis_tready) begin
            valid <= s0_axis_tvalid; data <= s0_axis_tdata; last <= s0_axis_tlast;
        end
        if (!aresetn) valid <= 0;
    end
"""
"""A register."""

ADD_40 = """
    // Adds 3 to every byte of one lane, 40 cycles later, through a stalling pipeline.
    reg [7:0] data [0:39]; reg [39:0] valid, last;
    wire move = m0_axis_tready | ~valid[39];
    assign s0_axis_tready = move;
    assign m0_axis_tdata = data[39]; assign m0_axis_tvalid = valid[39];
    assign m0_axis_tlast = last[39];
    integer i;
    always @(posedge clk) begin
        if (move) begin
            data[0] <= s0_axis_tdata + 8'd3;
            for (i = 1; i < 40; i = i + 1) data[i] <= data[i - 1];
            valid <= {valid[38:0], s0_axis_tvalid}; last <= {last[38:0], s0_axis_tlast};
        end
        if (!aresetn) valid <= 0;
    end
"""

ADD_TWO = """
    // m0 = s0 + s1, m1 = s0 - s1, as one register for each output.
    reg [W-1:0] a, b; reg va, vb, last;
    wire move = (~va | m0_axis_tready) & (~vb | m1_axis_tready);
    wire both = s0_axis_tvalid & s1_axis_tvalid & move;
    assign s0_axis_tready = both; assign s1_axis_tready = both;
    assign m0_axis_tdata = a; assign m0_axis_tvalid = va; assign m0_axis_tlast = last;
    assign m1_axis_tdata = b; assign m1_axis_tvalid = vb; assign m1_axis_tlast = last;
    always @(posedge clk) begin
        if (m0_axis_tready) va <= 0;
        if (m1_axis_tready) vb <= 0;
        if (both) begin
            a <= s0_axis_tdata + s1_axis_tdata; b <= s0_axis_tdata - s1_axis_tdata;
            va <= 1; vb <= 1; last <= s0_axis_tlast;
        end
        if (!aresetn) begin va <= 0; vb <= 0; end
    end
"""


RATES = """
    // m0 = s0 + the low byte of the first beat of s1, beat by beat, behind the whole of s1;
    // m1 = the sum of all beats of s0, one beat an inference, behind all of that.
    reg [1:0] state; reg [7:0] add; reg [31:0] sum; reg taken; reg [7:0] data; reg valid, last;
    wire run = state == 1; wire move = m0_axis_tready | ~valid;
    assign s1_axis_tready = state == 0; assign s0_axis_tready = run & move;
    assign m0_axis_tdata = data; assign m0_axis_tvalid = valid; assign m0_axis_tlast = last;
    assign m1_axis_tdata = sum; assign m1_axis_tvalid = state == 2; assign m1_axis_tlast = 1;
    always @(posedge clk) begin
        if (move) begin
            valid <= run & s0_axis_tvalid; data <= s0_axis_tdata + add; last <= s0_axis_tlast;
        end
        if (s1_axis_tready & s1_axis_tvalid) begin
            if (~taken) add <= s1_axis_tdata[7:0];
            taken <= ~s1_axis_tlast;
            if (s1_axis_tlast) begin state <= 1; sum <= 0; end
        end
        if (s0_axis_tready & s0_axis_tvalid) begin
            sum <= sum + {24'd0, s0_axis_tdata};
            if (s0_axis_tlast) state <= 2;
        end
        if (m1_axis_tvalid & m1_axis_tready) state <= 0;
        if (!aresetn) begin state <= 0; valid <= 0; taken <= 0; end
    end
"""


def module(
    body: str,
    *,
    bits: int = 8,
    inputs: int = 1,
    outputs: int = 1,
    sides: int = 0,
    wide: Mapping[str, int] | None = None,
) -> str:
    """Verilog of a design `dut` with streams of `bits`, but for those in `wide`: "s1": 16."""
    ports = ["input clk", "input aresetn"]
    for side, count, way, back in (
        ("s", inputs, "input", "output"),
        ("m", outputs, "output", "input"),
        ("w", sides, "input", "output"),
    ):
        for index in range(count):
            name = f"{side}{index}_axis"
            width = (wide or {}).get(f"{side}{index}", bits)
            ports += [f"{way} [{width - 1}:0] {name}_tdata", f"{way} {name}_tvalid"]
            ports += [f"{way} {name}_tlast", f"{back} {name}_tready"]
    ports += ["input weight_bank"] if sides else []
    return f"module dut({', '.join(ports)});\n    localparam W = {bits};\n{body}\nendmodule\n"


Open = Callable[..., Model]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """``source(body, bits=8, inputs=1, outputs=1)`` writes a design and returns its file."""

    def write(body: str, **shape: Any) -> Path:
        path = tmp_path / "dut.v"
        path.write_text(module(body, **shape))
        return path

    return write


@pytest.fixture
def design(source: Callable[..., Path]) -> Open:
    """``design(body, bits=8, inputs=1, outputs=1)`` builds a design and opens it."""

    def make(body: str, *, images: Path | None = None, **shape: Any) -> Model:
        return Model(build_model([source(body, **shape)], "dut"), images)

    return make
