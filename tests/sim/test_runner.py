# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench and its runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midwire.hw.errors import DataError
from midwire.sim.bench import pauses
from midwire.sim.errors import BenchError
from midwire.sim.runner import run_bench, run_cocotb

from .conftest import ADD_40, PASS, RATES

Source = Callable[..., Path]

DATA = np.random.default_rng(7).integers(0, 256, (4, 30), dtype=np.uint8)
ALL = ("False/sink_pauses=False", "False/sink_pauses=True", "True/sink_pauses=False", "True/sink_p")


def test_a_pipeline_passes(source: Source) -> None:
    run_bench([source(ADD_40)], "dut", [DATA], [DATA + np.uint8(3)])


def test_frames_of_different_lengths(source: Source) -> None:
    frames = [b"abc", b"d", b"efghijkl"]
    run_bench([source(PASS)], "dut", [frames], [frames], seed=1)


def test_several_ports_of_different_rates(source: Source) -> None:
    keys = DATA[:, :8]
    design = source(RATES, inputs=2, outputs=2, wide={"s1": 16, "m1": 32})
    sums = DATA.sum(1, np.uint32)[:, None].view(np.uint8)
    run_bench([design], "dut", [DATA, keys], [DATA + keys[:, :1], sums])


def test_a_wrong_byte_is_named(source: Source) -> None:
    wrong = DATA.copy()
    wrong[2, 9] ^= 1
    with pytest.raises(BenchError) as error:
        run_bench([source(PASS, bits=16)], "dut", [DATA], [wrong], seed=5)
    text = str(error.value)
    assert text.startswith(
        "bench of dut, seed 5: 4 of 4 tests failed; found frames/source_pauses=False/"
        f"sink_pauses=False: m0_axis, frame 2, byte 9 of 30: expected {wrong[2, 9]:#04x}, found "
        f"{DATA[2, 9]:#04x}\n"
    )
    assert all(name in text for name in ALL)


def test_a_frame_that_does_not_come(source: Source) -> None:
    with pytest.raises(BenchError) as error:
        run_bench([source(PASS)], "dut", [DATA], [[*DATA, b"more"]], seed=5, cycles=2000)
    assert ("frames not through after 2000 cycles: m0_axis sent 4 of 5; all input taken") in str(
        error.value
    )


def test_data_that_does_not_hold(source: Source) -> None:
    body = """
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tvalid = s0_axis_tvalid;
    assign m0_axis_tlast = s0_axis_tlast; reg n; always @(posedge clk) n <= !aresetn ? 0 : ~n;
    assign m0_axis_tdata = s0_axis_tdata ^ {n & ~m0_axis_tready, 7'b0};
    """
    with pytest.raises(BenchError, match=r"tlast changed in cycle \d+ with the beat not taken"):
        run_bench([source(body)], "dut", [DATA], [DATA], seed=5)


def test_a_port_too_many(source: Source) -> None:
    with pytest.raises(BenchError, match=r"the design has 1 s\*_axis ports, not 2"):
        run_bench([source(PASS)], "dut", [DATA, DATA], [DATA])


def test_memory_images(source: Source, tmp_path: Path) -> None:
    body = """
    reg [7:0] key [0:0]; string folder;
    initial if ($value$plusargs("midwire_images=%s", folder))
        $readmemh($sformatf("%s/key.hex", folder), key);
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tvalid = s0_axis_tvalid;
    assign m0_axis_tlast = s0_axis_tlast; assign m0_axis_tdata = s0_axis_tdata ^ key[0];
    """
    (tmp_path / "key.hex").write_text("5a\n")
    run_bench([source(body)], "dut", [DATA], [DATA ^ np.uint8(0x5A)], images_dir=tmp_path)


OWN = """
import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def sees_the_ports_only(dut):
    await Timer(1, "ns")
    assert hasattr(dut, "s0_axis_tdata")
    assert not hasattr(dut, "valid")
"""


def test_a_bench_of_ones_own(source: Source, tmp_path: Path) -> None:
    bench = tmp_path / "own_bench.py"
    bench.write_text(OWN)
    run_cocotb([source(PASS)], "dut", bench)
    bench.write_text(OWN.replace("assert not", "assert"))
    with pytest.raises(BenchError, match="1 of 1 tests failed; found sees_the_ports_only"):
        run_cocotb([source(PASS)], "dut", bench)
    bench.write_text("import nothing_like_that\n")
    with pytest.raises(BenchError, match=r"(?s)ended without results.*nothing_like_that"):
        run_cocotb([source(PASS)], "dut", bench)
    bench.write_text("\n")
    with pytest.raises(BenchError, match="No tests were discovered in any module"):
        run_cocotb([source(PASS)], "dut", bench)
    with pytest.raises(DataError, match="the cocotb test module does not exist"):
        run_cocotb([source(PASS)], "dut", tmp_path / "no.py")


def test_pauses_are_a_function_of_the_seed() -> None:
    def take(seed: str) -> list[bool]:
        generator = pauses(seed)
        return [next(generator) for _ in range(2000)]

    assert take("a") == take("a") != take("b")
    assert 600 < sum(take("a")) < 1400
