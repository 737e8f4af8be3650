# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Two models of one shape, compiled ``loadable``: one slice runs both, and swaps them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.images import unpack_image
from midwire.hw.formats.tensor import as_frames
from midwire.hw.kernels.reference import Reference
from midwire.sim.build import build_model
from midwire.sim.model import Model
from midwire.sim.runner import run_bench
from midwire.sim.toolchain import find_verilator
from midwire.sim.vectors import random_wire
from midwire.sim.verify import verify

from ..loadable import compiled


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("loadable")
    return compiled(folder, 1), compiled(folder, 2)


def test_both_have_the_same_hardware(bundles: tuple[Bundle, Bundle]) -> None:
    """But for their images, which the manifest lists in the order of the ports."""
    one, two = bundles
    assert [layer["strategy"] for layer in one.manifest.layers] == [
        "loadable",
        "folded",
        "loadable",
    ]
    assert one.manifest.memories == two.manifest.memories
    for name in ("midwire_slice.v", "midwire_nic.v"):
        assert one.path(f"rtl/{name}").read_bytes() == two.path(f"rtl/{name}").read_bytes()
    assert [memory.image for memory in one.manifest.memories] == [
        f"midwire_{layer}_{what}.hex"
        for layer in ("n0_conv_0", "n2_matmul_4")
        for what in ("weights", "finish")
    ]
    for memory in one.manifest.memories:
        mine, other = (b.path(f"rtl/{memory.image}").read_text() for b in bundles)
        assert mine != other
        assert unpack_image(mine, memory.width).shape == (memory.words, -(-memory.width // 8))
    assert one.hardware == two.hardware
    fixed = [replace(b.manifest, memories=b.manifest.memories[1:]) for b in bundles]
    numbers = {Bundle(one.root, manifest, "0" * 64).hardware for manifest in fixed}
    assert len(numbers | {one.hardware}) == 3  # what nothing writes must be the same
    hardware = {memory.node: memory.hardware for memory in one.manifest.memories}
    assert len(set(hardware.values())) == len(hardware) == 2


def test_it_verifies_like_any_other(bundles: tuple[Bundle, Bundle]) -> None:
    """Exact, in the cycles predicted, as long as nobody loads anything."""
    for bundle in bundles:
        assert verify(bundle, vectors=8, stall=0.4, seed=3).passed


def test_the_other_models_weights_give_the_other_models_bits(
    bundles: tuple[Bundle, Bundle],
) -> None:
    one, two = bundles
    rng = np.random.default_rng(4)
    print("seed 4")
    wires = [random_wire(spec, 12, rng) for spec in one.manifest.inputs]
    wanted = [Reference.of_bundle(bundle).run_wire(wires)[0] for bundle in bundles]
    assert (wanted[0] != wanted[1]).any(axis=1).all()
    library = build_model(one.slice_verilog, "midwire_slice")
    with Model(library, one.images_dir) as model:

        def run(stall: float, loads: Any = None) -> Any:
            frames = [as_frames(wire) for wire in wires]
            result = model.run(frames, stall=stall, seed=5, loads=loads)
            (spec,) = one.manifest.outputs
            return spec.of_frames(result.outputs[0]), result

        np.testing.assert_array_equal(run(0.3)[0], wanted[0])
        here = 0
        for bank, (turn, stall) in enumerate(((1, 0.5), (0, 0.0), (1, 0.3), (0, 0.9))):
            loads = {}
            for port, memory in enumerate(one.manifest.memories):
                text = bundles[turn].path(f"rtl/{memory.image}").read_text()
                loads[port] = unpack_image(text, memory.width)
            if bank < 2:
                for port, words in loads.items():
                    model.load(port, words, stall=stall, seed=port)
                np.testing.assert_array_equal(run(stall)[0], wanted[here])
            else:  # while the other bank is read, from the first beat on
                np.testing.assert_array_equal(run(stall, loads)[0], wanted[here])
            model.choose(1 - bank % 2)
            here = turn
            for pause in (0.0, 0.4):
                got, result = run(pause)
                np.testing.assert_array_equal(got, wanted[turn])
                if not pause:
                    assert result.interval_cycles == two.manifest.cycles_per_inference
                    assert result.latency_cycles == two.manifest.latency_cycles


def test_the_shell_connects_the_side_ports(bundles: tuple[Bundle, Bundle]) -> None:
    """Each to a stream of its own: no pin of the slice is missing."""
    bundle = bundles[0]
    program = find_verilator()
    words = ["--lint-only", "-Wno-lint", "-Wno-style", "-Wno-ALWNEVER", "-Wwarn-PINMISSING"]
    done = subprocess.run(
        [str(program.binary), *words, "--top-module", "midwire_nic", *map(str, bundle.nic_verilog)],
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = bundle.path("rtl/midwire_nic.v").read_text()
    for port in range(len(bundle.manifest.memories)):
        assert f".w{port}_axis_tvalid(w{port}__valid)" in text
    assert ".weight_bank(bank)" in text


def test_the_cocotb_bench_leaves_them_idle(bundles: tuple[Bundle, Bundle]) -> None:
    bundle = bundles[0]
    with np.load(bundle.path("golden.npz")) as golden:
        frames = [[bytes(frame) for frame in as_frames(golden[k])] for k in ("in0", "out0")]
    run_bench(
        bundle.slice_verilog,
        "midwire_slice",
        [frames[0]],
        [frames[1]],
        images_dir=bundle.images_dir,
        seed=1,
    )
