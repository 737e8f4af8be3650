# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The driver of Verilated models: data, cycles, and what it says of broken designs."""

from __future__ import annotations

import _thread
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from midwire.hw.errors import DataError
from midwire.sim.errors import DeadlockError, ProtocolError, SimulationError
from midwire.sim.model import Model

from .conftest import ADD_40, ADD_TWO, PASS, RATES, Open

STALLS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.9, 0.9))


def noise(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    print(f"seed {seed}")
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 40, 64, 72, 80, 512])
def test_every_width_passes_bytes_in_order(design: Open, bits: int) -> None:
    data = noise(7, bits // 8 * 5)
    with design(PASS, bits=bits) as model:
        assert model.input_beat_bytes == model.output_beat_bytes == (bits // 8,)
        for seed, stall in enumerate(STALLS):
            result = model.run([data], stall=stall, seed=seed)
            np.testing.assert_array_equal(result.outputs[0], data)


def test_cycles_of_a_register(design: Open) -> None:
    with design(PASS) as model:
        for _ in range(2):  # the state that one run leaves does not change the next
            result = model.run([noise(3, 4)], output_bytes=[4])
            assert result.first_in.tolist() == [0, 4, 8]
            assert result.last_out.tolist() == [4, 8, 12]
            assert result.cycles == 13
            assert result.latency_cycles == 5
            assert result.interval_cycles == 4
        assert model.run([noise(1, 4)]).interval_cycles is None


def test_latency_of_a_pipeline(design: Open) -> None:
    data = noise(50, 6)
    with design(ADD_40) as model:
        result = model.run([data])
        assert result.latency_cycles == 40 + 6
        assert result.interval_cycles == 6
        for seed, stall in enumerate(STALLS):
            result = model.run([data], stall=stall, seed=seed)
            np.testing.assert_array_equal(result.outputs[0], data + np.uint8(3))


def test_two_inputs_and_two_outputs(design: Open) -> None:
    a, b = noise(20, 6, seed=1), noise(20, 6, seed=2)
    with design(ADD_TWO, bits=16, inputs=2, outputs=2) as model:
        for seed, stall in enumerate(STALLS):
            result = model.run([a, b], stall=stall, seed=seed)
            x, y = a.view(np.uint16), b.view(np.uint16)
            np.testing.assert_array_equal(result.outputs[0].view(np.uint16), x + y)
            np.testing.assert_array_equal(result.outputs[1].view(np.uint16), x - y)


WIDE = {"s1": 16, "m1": 32}


def test_ports_of_different_rates(design: Open) -> None:
    """Six beats and two in, six and one out; latency from the earliest beat in to the last out."""
    a, b = noise(20, 6, seed=1), noise(20, 4, seed=2)
    with design(RATES, inputs=2, outputs=2, wide=WIDE) as model:
        assert (model.input_beat_bytes, model.output_beat_bytes) == ((1, 2), (1, 4))
        result = model.run([a, b], output_bytes=[6, 4])
        # s1 in cycles 0 and 1, s0 from 2 to 7, m0 from 3 to 8, m1 in 8, and so on.
        assert result.first_in.tolist() == list(range(0, 20 * 9, 9))
        assert result.last_out.tolist() == list(range(8, 20 * 9, 9))
        assert (result.latency_cycles, result.interval_cycles) == (9, 9)
        for seed, stall in enumerate(STALLS):
            result = model.run([a, b], stall=stall, seed=seed)
            np.testing.assert_array_equal(result.outputs[0], a + b[:, :1])
            sums = result.outputs[1].view(np.uint32)
            np.testing.assert_array_equal(sums, a.sum(1, np.uint32)[:, None])


def test_every_port_pauses_by_itself(design: Open) -> None:
    """Pauses of one port neither follow another's nor stop when another has all its frames."""
    a, b = noise(50, 6), noise(50, 4)
    with design(RATES, inputs=2, outputs=2, wide=WIDE) as model:
        cycles = {
            stall: model.run([a, b], stall=stall, seed=4).cycles
            for stall in ((0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.6, 0.6))
        }
    assert cycles[0.0, 0.0] == 50 * 9
    assert cycles[0.0, 0.0] < min(cycles[0.6, 0.0], cycles[0.0, 0.6])
    assert max(cycles[0.6, 0.0], cycles[0.0, 0.6]) < cycles[0.6, 0.6]


LOADED = """
    // Adds both words of the bank that is read, of 12 bits each.
    reg [11:0] words [0:3]; reg at;
    initial begin words[0] = 1; words[1] = 2; end
    assign w0_axis_tready = 1;
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tvalid = s0_axis_tvalid;
    assign m0_axis_tlast = s0_axis_tlast;
    assign m0_axis_tdata = s0_axis_tdata + words[{weight_bank, 1'b1}] + words[{weight_bank, 1'b0}];
    always @(posedge clk) begin
        if (w0_axis_tvalid) begin
            words[{~weight_bank, at}] <= w0_axis_tdata[11:0]; at <= ~w0_axis_tlast & ~at;
        end
        if (!aresetn) at <= 0;
    end
"""


def test_a_memory_is_loaded_through_a_side_port(design: Open) -> None:
    """Idle until then; what is loaded is read once its bank is chosen, and stays through resets."""
    data = noise(3, 4).view(np.uint16)
    with design(LOADED, bits=16, sides=1) as model:
        assert model.side_beat_bytes == (2,)

        def check(words: Sequence[int], **more: Any) -> None:
            for stall in STALLS[:2]:
                result = model.run([data.view(np.uint8)], stall=stall, **more)
                got = result.outputs[0].view(np.uint16)
                np.testing.assert_array_equal(got, data + np.uint16(sum(words)))

        here = [1, 2]
        check(here)
        for bank, words in ((1, [7, 300]), (0, [5, 6]), (1, [8, 9])):
            loaded = np.array(words, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
            if bank:
                model.load(0, loaded, stall=0.5, seed=bank)
            else:
                check(here, loads={0: loaded})
            check(here)
            model.choose(bank)
            model.reset()
            here = words
            check(here)


def test_words_that_do_not_fit_a_side_port_are_refused(design: Open) -> None:
    with design(LOADED, bits=16, sides=1) as model:
        with pytest.raises(DataError, match=r"no such side port; expected one of 1; found 1"):
            model.load(1, noise(2, 2))
        with pytest.raises(DataError) as error:
            model.load(0, noise(2, 3))
        assert str(error.value) == (
            "side port 0: the words have the wrong shape or type; expected uint8 (words, 2); "
            "found uint8 (2, 3)."
        )
        with pytest.raises(DataError, match=r"expected uint8 \(words, 2\); found uint8 \(0, 2\)"):
            model.load(0, noise(0, 2))
        with pytest.raises(DataError, match=r"the watchdog is in cycles; expected at least 1"):
            model.load(0, noise(2, 2), watchdog=0)
        with pytest.raises(DataError, match=r"a stall is a probability"):
            model.load(0, noise(2, 2), stall=1.0)
        with pytest.raises(DataError, match=r"no such side port; expected one of 1; found 2"):
            model.run([noise(1, 4)], loads={2: noise(2, 2)})
        with pytest.raises(DataError, match=r"no such bank of weights; expected 0 or 1; found 2"):
            model.choose(2)


def test_a_side_port_that_takes_nothing_is_a_deadlock(design: Open) -> None:
    body = LOADED.replace("w0_axis_tready = 1", "w0_axis_tready = 0")
    with design(body, bits=16, sides=1) as model:
        with pytest.raises(DeadlockError, match=r"w0_axis waits for tready \(beat 0 of 2"):
            model.load(0, noise(2, 2), watchdog=50)
        assert model.run([noise(1, 4)]).cycles > 0


def test_a_deadlock_says_what_every_port_waits_for(design: Open) -> None:
    body = RATES.replace("if (s1_axis_tlast) begin state <= 1;", "if (0) begin state <= 1;")
    with design(body, inputs=2, outputs=2, wide=WIDE) as model, pytest.raises(DeadlockError) as e:
        model.run([noise(2, 6), noise(2, 4)], output_bytes=[6, 4], watchdog=50)
    text = str(e.value)
    assert "s0_axis waits for tready (beat 0 of 6 of inference 0); s1_axis has sent everyth" in text
    assert "m0_axis waits for tvalid (beat 0 of 6 of inference 0); m1_axis waits for tvalid" in text


def test_an_output_that_waits_for_another_is_a_violation(design: Open) -> None:
    """Whoever takes one output only must get it: S2, across ports."""
    body = ADD_TWO.replace("m0_axis_tvalid = va;", "m0_axis_tvalid = va & m1_axis_tready;")
    with design(body, inputs=2, outputs=2) as model, pytest.raises(ProtocolError) as error:
        model.run([noise(50, 6), noise(50, 6)], stall=(0.0, 0.5), seed=1)
    assert "m0_axis_tvalid is 1 with every tready high and 0 with another output's low" in str(
        error.value
    )


def test_stalls_are_a_function_of_the_seed(design: Open) -> None:
    with design(PASS) as model:
        cycles = [model.run([noise(50, 4)], stall=0.5, seed=seed).cycles for seed in (1, 1, 2)]
    assert cycles[0] == cycles[1] != cycles[2]


def test_instances_are_independent(design: Open) -> None:
    count = """
    reg [7:0] n; assign s0_axis_tready = m0_axis_tready; assign m0_axis_tvalid = s0_axis_tvalid;
    assign m0_axis_tlast = s0_axis_tlast; assign m0_axis_tdata = n;
    always @(posedge clk)
        if (!aresetn) n <= 0; else if (s0_axis_tvalid & s0_axis_tready) n <= n + 1;
    """
    with design(count) as first, design(count) as second:
        assert first.run([noise(1, 3)]).outputs[0].tolist() == [[0, 1, 2]]
        assert second.run([noise(1, 3)]).outputs[0].tolist() == [[0, 1, 2]]
        assert first.run([noise(1, 3)]).outputs[0].tolist() == [[3, 4, 5]]
        first.reset()
        assert first.run([noise(1, 3)]).outputs[0].tolist() == [[0, 1, 2]]


ROM = """
    reg [7:0] table_ [0:255]; string folder;
    initial if ($value$plusargs("midwire_images=%s", folder))
        $readmemh($sformatf("%s/rom.hex", folder), table_);
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tvalid = s0_axis_tvalid;
    assign m0_axis_tlast = s0_axis_tlast; assign m0_axis_tdata = table_[s0_axis_tdata];
"""


def test_images_are_of_the_instance(design: Open, tmp_path: Path) -> None:
    data, models = noise(2, 64), []
    for index in range(2):
        folder = tmp_path / f"images {index}"
        folder.mkdir()
        values = noise(256, seed=index)
        (folder / "rom.hex").write_text("\n".join(f"{value:02x}" for value in values))
        models.append((design(ROM, images=folder), values))
    for model, values in models:
        np.testing.assert_array_equal(model.run([data]).outputs[0], values[data])
        model.close()


def test_a_missing_image_is_named(design: Open, tmp_path: Path) -> None:
    with pytest.raises(SimulationError) as error:
        design(ROM, images=tmp_path)
    assert str(error.value).startswith("the design did not start: $readmem file not found (")
    assert f"{tmp_path}/rom.hex" in str(error.value)


def test_falling_valid_is_a_violation(design: Open) -> None:
    body = """
    reg [1:0] n; always @(posedge clk) n <= !aresetn ? 0 : n + 1;
    assign s0_axis_tready = 1; assign m0_axis_tdata = 0; assign m0_axis_tlast = 1;
    assign m0_axis_tvalid = n == 3;
    """
    with design(body) as model, pytest.raises(ProtocolError) as error:
        model.run([noise(9, 1)], stall=(0.0, 0.9), seed=1)
    assert str(error.value) == (
        "m0_axis: tvalid fell at cycle 4 before tready took the beat (beat 0 of inference 0): "
        "tvalid, tdata and tlast must hold until they are taken."
    )


def test_changing_data_is_a_violation(design: Open) -> None:
    body = """
    reg [7:0] n; always @(posedge clk) n <= !aresetn ? 0 : n + 1;
    assign s0_axis_tready = 1; assign m0_axis_tdata = n; assign m0_axis_tlast = 1;
    assign m0_axis_tvalid = 1;
    """
    with design(body) as model, pytest.raises(ProtocolError, match="m0_axis: tdata changed at cyc"):
        model.run([noise(9, 1)], stall=(0.0, 0.5))


def test_valid_that_waits_for_ready_is_a_violation(design: Open) -> None:
    body = """
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tdata = s0_axis_tdata;
    assign m0_axis_tlast = s0_axis_tlast; assign m0_axis_tvalid = s0_axis_tvalid & m0_axis_tready;
    """
    with design(body) as model:
        model.run([noise(9, 1)])
        with pytest.raises(ProtocolError) as error:
            model.run([noise(9, 1)], stall=(0.0, 0.5), seed=3)
    assert "m0_axis_tvalid is 1 with m0_axis_tready high and 0 with it low, at" in str(error.value)
    assert "tvalid must not depend on tready." in str(error.value)


@pytest.mark.parametrize(("last", "at", "expected"), [("0", 3, 1), ("1", 0, 0)])
def test_wrong_tlast_is_a_violation(design: Open, last: str, at: int, expected: int) -> None:
    body = f"""
    assign s0_axis_tready = m0_axis_tready; assign m0_axis_tdata = s0_axis_tdata;
    assign m0_axis_tlast = {last}; assign m0_axis_tvalid = s0_axis_tvalid;
    """
    with design(body) as model, pytest.raises(ProtocolError) as error:
        model.run([noise(2, 4)], output_bytes=[4])
    assert str(error.value) == (
        f"m0_axis_tlast is {last} on beat {at} of 4 of inference 0 (counted from 0) at cycle {at}: "
        f"expected {expected}, since tlast marks the final beat and only that."
    )


def test_frames_must_be_alike(design: Open) -> None:
    body = """
    reg [3:0] n; always @(posedge clk) n <= !aresetn ? 0 : n + 1;
    assign s0_axis_tready = 1; assign m0_axis_tdata = n; assign m0_axis_tlast = n == 3 | n == 9;
    assign m0_axis_tvalid = 1;
    """
    with design(body) as model, pytest.raises(ProtocolError, match="is 0 on beat 3 of 4 of inf"):
        model.run([noise(2, 4)])


def test_a_beat_too_many_is_a_violation(design: Open) -> None:
    body = """
    assign s0_axis_tready = 1; assign m0_axis_tdata = 0; assign m0_axis_tlast = 1;
    assign m0_axis_tvalid = 1;
    """
    with design(body) as model, pytest.raises(ProtocolError) as error:
        model.run([noise(2, 1)])
    assert str(error.value) == (
        "m0_axis offers a beat at cycle 2, after the last of 2 frames: the design must send one "
        "frame for each inference."
    )


DEADLOCK = """
    reg [2:0] n; always @(posedge clk) n <= !aresetn ? 0 : n + (s0_axis_tvalid & s0_axis_tready);
    assign s0_axis_tready = n < 3; assign m0_axis_tdata = 0; assign m0_axis_tlast = 1;
    assign m0_axis_tvalid = 0; assign s1_axis_tready = 1;
"""


def test_a_deadlock_names_what_waits(design: Open) -> None:
    with design(DEADLOCK, inputs=2) as model:
        for _ in range(2):  # the run after a failed one starts with a reset
            with pytest.raises(DeadlockError) as error:
                model.run([noise(1, 4), noise(1, 2)], watchdog=1000)
            assert str(error.value) == (
                "no beat moved for 1000 cycles, up to cycle 1003: s0_axis waits for tready (beat 3 "
                "of 4 of inference 0); s1_axis has sent everything; m0_axis waits for tvalid (beat "
                "0 of inference 0)."
            )


def test_a_design_that_stops_itself(design: Open) -> None:
    body = PASS + 'always @(posedge clk) if (s0_axis_tvalid & s0_axis_tdata == 7) $fatal(1, "x");'
    with design(body) as model:
        data = np.full((1, 3), 6, np.uint8)
        np.testing.assert_array_equal(model.run([data]).outputs[0], data)
        with pytest.raises(SimulationError, match=r"the design called \$stop or an assertion fail"):
            model.run([data + np.uint8(1)])
        np.testing.assert_array_equal(model.run([data]).outputs[0], data)


def test_an_interrupt_ends_a_long_run(design: Open) -> None:
    """However long nothing moves, Python has a turn again and again, and sees a signal then."""
    turns = itertools.count()

    def interrupt(done: int, count: int) -> None:
        if next(turns) == 20:
            _thread.interrupt_main()

    with design(DEADLOCK, inputs=2) as model, pytest.raises(KeyboardInterrupt):
        model.run([noise(1, 4), noise(1, 2)], watchdog=1 << 60, progress=interrupt)
    assert next(turns) == 21


def test_progress_counts_inferences(design: Open) -> None:
    seen: list[tuple[int, int]] = []
    with design(PASS) as model:
        model.run([noise(2000, 4)], progress=lambda done, count: seen.append((done, count)))
    assert seen[-1] == (2000, 2000)
    assert seen == sorted(seen)
    assert len(seen) > 1


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"inputs": []}, "one array is needed per input port; expected 1; found 0."),
    (
        {"inputs": [noise(2, 6)]},
        "input 0: a frame must be whole beats; expected a multiple of 4 bytes; found 6 bytes.",
    ),
    (
        {"output_bytes": [2]},
        "output 0: a frame must be whole beats; expected a multiple of 4 bytes; found 2 bytes.",
    ),
    (
        {"output_bytes": [4, 4]},
        "one frame size is needed per output port; expected 1; found 2.",
    ),
    (
        {"inputs": [noise(2, 4).view(np.int8)]},
        (
            "input 0: the wire bytes have the wrong shape or type; "
            "expected uint8 (count, frame bytes); found int8 (2, 4)."
        ),
    ),
    ({"stall": 1.0}, "a stall is a probability; expected 0 <= p < 1; found 1.0."),
    (
        {"inputs": [noise(0, 4)]},
        "inputs must hold the same number of inferences, and at least one; found [0].",
    ),
    ({"watchdog": 0}, "the watchdog is in cycles; expected at least 1; found 0."),
)


def test_wrong_arguments_are_refused(design: Open) -> None:
    good: dict[str, Any] = {"inputs": [noise(2, 4)]}
    with design(PASS, bits=32) as model:
        for change, sentence in REFUSED:
            with pytest.raises(DataError) as error:
                model.run(**(good | change))
            assert str(error.value) == sentence
        with pytest.raises(SimulationError):  # more than there is memory for
            model.run(**good, output_bytes=[1 << 61])
        model.run(**good)
    with pytest.raises(ValueError, match="this Model is closed"):
        model.run(**good)


def test_a_broken_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.so").write_bytes(b"not a library")
    with pytest.raises(SimulationError) as error:
        Model(tmp_path / "model.so")
    assert "model.so: the file cannot be loaded as a Verilated model; found " in str(error.value)
    assert str(error.value).endswith(f"Delete the folder {tmp_path} and build again.")
