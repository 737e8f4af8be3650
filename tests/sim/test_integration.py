# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engineer does with a bundle's RTL: puts several into one design."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import as_frames
from midwire.hw.kernels.reference import Reference
from midwire.sim.build import build_model
from midwire.sim.model import Model
from midwire.sim.runner import run_bench
from midwire.sim.toolchain import find_verilator
from midwire.sim.vectors import random_wire
from midwire.sim.verify import verify
from tests.small import NET

STREAM = ("tdata", "tvalid", "tready", "tlast")


def compiled(folder: Path, name: str, seed: int) -> Bundle:
    """The net with weights of a seed, under a name."""
    print(f"{name}: seed {seed}")
    rng = np.random.default_rng(seed)
    weights = ", ".join(f"{value:.3f}" for value in rng.normal(size=54))
    text = re.sub(r"w = \{.*?\}", f"w = {{{weights}}}", NET)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{text}')
    onnx.save(model, folder / f"{name}.onnx")
    np.savez(folder / f"{name}.npz", x=rng.normal(size=(64, 1, 2, 4, 4)).astype(np.float32))
    options = Options(calibrate=folder / f"{name}.npz", name=name, max_error=10)
    return compile_model(folder / f"{name}.onnx", folder / name, options).bundle


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("pair")
    return compiled(folder, "left", 1), compiled(folder, "right", 2)


def modules(bundle: Bundle) -> set[str]:
    """Modules that a bundle's files define, escaped names too."""
    texts = [path.read_text() for path in bundle.nic_verilog]
    return {name for text in texts for name in re.findall(r"^module \\?([^\s(]+)", text, re.M)}


def both(pair: tuple[Bundle, Bundle]) -> str:
    """A top in which the two stand side by side, the second's streams numbered behind."""
    ports, parts = ["input clk", "input aresetn"], []
    for k, bundle in enumerate(pair):
        pins = [".clk(clk)", ".aresetn(aresetn)"]
        for side, (spec,) in (("s", bundle.manifest.inputs), ("m", bundle.manifest.outputs)):
            for signal in STREAM:
                way = "input" if (side == "s") != (signal == "tready") else "output"
                width = f"[{8 * spec.beat_bytes - 1}:0] " if signal == "tdata" else ""
                ports.append(f"{way} {width}{side}{k}_axis_{signal}")
                pins.append(f".{side}0_axis_{signal}({side}{k}_axis_{signal})")
        parts.append(f"  {bundle.slice_top} u{k} ({', '.join(pins)});")
    return "\n".join([f"module both({', '.join(ports)});", *parts, "endmodule", ""])


def test_no_name_is_in_both(pair: tuple[Bundle, Bundle]) -> None:
    """Neither of a module, nor of a file, nor of a memory image."""
    for bundle, prefix in zip(pair, ("left", "right"), strict=True):
        assert bundle.manifest.prefix == prefix
        names = modules(bundle)
        assert {bundle.slice_top, bundle.nic_top, f"{prefix}_rom", f"{prefix}_ram"} <= names
        assert all(name.startswith(f"{prefix}_") for name in names)
        files = [Path(name).name for name in bundle.manifest.files if name.startswith("rtl/")]
        assert all(name.startswith(f"{prefix}_") for name in files)
        assert bundle.manifest.images and set(bundle.manifest.images) <= set(files)
        text = "".join(path.read_text() for path in bundle.nic_verilog)
        assert all(f'"{image}"' in text for image in bundle.manifest.images)


def test_each_is_exact_by_itself(pair: tuple[Bundle, Bundle]) -> None:
    for bundle in pair:
        assert verify(bundle, vectors=8, stall=0.3, seed=1).passed


def test_the_bundles_bench_knows_the_name(pair: tuple[Bundle, Bundle]) -> None:
    bundle = pair[0]
    with np.load(bundle.path("golden.npz")) as golden:
        frames = [[bytes(frame) for frame in as_frames(golden[k])] for k in ("in0", "out0")]
    run_bench(
        bundle.slice_verilog,
        bundle.slice_top,
        [frames[0]],
        [frames[1]],
        images_dir=bundle.images_dir,
        seed=1,
    )


def test_two_in_one_design_are_exact(pair: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    """Both at once, out of one build and one folder of images."""
    (tmp_path / "both.v").write_text(both(pair))
    for bundle in pair:
        for image in bundle.manifest.images:
            shutil.copy(bundle.path(f"rtl/{image}"), tmp_path)
    files = [path for bundle in pair for path in bundle.slice_verilog]
    library = build_model([tmp_path / "both.v", *files], "both")
    print("seed 3")
    rng = np.random.default_rng(3)
    wires = [random_wire(spec, 12, rng) for b in pair for spec in b.manifest.inputs]
    wanted = [
        Reference.of_bundle(bundle).run_wire([wire])[0]
        for bundle, wire in zip(pair, wires, strict=True)
    ]
    assert (wanted[0] != wanted[1]).any()
    with Model(library, tmp_path) as model:
        for stall in (0.0, 0.4):
            result = model.run([as_frames(wire) for wire in wires], stall=stall, seed=4)
            for k, bundle in enumerate(pair):
                (spec,) = bundle.manifest.outputs
                np.testing.assert_array_equal(spec.of_frames(result.outputs[k]), wanted[k])


@pytest.mark.parametrize("language", ["1364-2005", "1800-2023"])
@pytest.mark.parametrize("top", ["left_slice", "left_nic"])
def test_lint_warns_of_nothing(pair: tuple[Bundle, Bundle], top: str, language: str) -> None:
    """But for the rules that the bundle's own list waives."""
    root, program = pair[0].root, find_verilator()
    words = ["--lint-only", "-Wall", "--default-language", language, "--top-module", top]
    files = [str(root / "lint.vlt"), "-F", str(root / "files.f")]
    done = subprocess.run(
        [str(program.binary), *words, *files],
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_lists_name_the_files_that_are_there(pair: tuple[Bundle, Bundle]) -> None:
    for bundle in pair:
        assert {"lint.vlt", "files.f", f"{bundle.manifest.prefix}.core"} <= set(
            bundle.manifest.files
        )
        listed = bundle.path("files.f").read_text().splitlines()[1:]
        assert [bundle.root / name for name in listed] == list(bundle.nic_verilog)
        core = bundle.path(f"{bundle.manifest.prefix}.core").read_text()
        found = set(re.findall(r"^      - (\S+):", core, re.M))
        own = {n for n in bundle.manifest.files if n.startswith("rtl/")}
        assert found == own | {"lint.vlt"}


def test_no_vector_has_no_bits(pair: tuple[Bundle, Bundle]) -> None:
    for bundle in pair:
        for path in bundle.nic_verilog:
            text = path.read_text()
            assert "[-1:0]" not in text
            assert "string" not in text and "logic" not in text  # Verilog-2005
