# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles for a shell: what they bring, that it is whole, and that it lints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from midwire.compiler.errors import OptionError
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats import csr
from midwire.hw.formats.bundle import Bundle
from midwire.hw.shells import corundum_ports
from midwire.hw.shells.registry import SHELLS
from midwire.sim.toolchain import find_verilator

from ...small import NET


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small net and samples."""
    folder = tmp_path_factory.mktemp("net")
    head = '<ir_version: 8, opset_import: ["" : 13]>\n'
    onnx.save(onnx.parser.parse_model(head + NET), folder / "net.onnx")
    x = np.random.default_rng(5).normal(size=(64, 1, 2, 4, 4)).astype(np.float32)
    np.savez(folder / "data.npz", x=x)
    return folder / "net.onnx", folder / "data.npz"


@pytest.fixture(scope="module")
def bundle_for(
    sources: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Bundle]:
    made: dict[str, Bundle] = {}

    def get(target: str) -> Bundle:
        if target not in made:
            output = tmp_path_factory.mktemp(target) / "b"
            options = Options(calibrate=sources[1], target=target, name="tiny")
            made[target] = compile_model(sources[0], output, options).bundle
        return made[target]

    return get


@pytest.mark.parametrize("target", sorted(SHELLS))
def test_a_bundle_for_a_shell_is_for_its_parts_and_clock(
    target: str, bundle_for: Callable[[str], Bundle]
) -> None:
    manifest = bundle_for(target).manifest
    assert (manifest.target, manifest.clock_mhz) == ("xcup", 250)
    assert not [name for name in manifest.files if "{" in name or name.startswith("/")]
    text = bundle_for(target).path("shell/README.md").read_text()
    assert text.startswith(f"# {SHELLS[target].title}\n") and "{" not in text.replace("{top}", "")


@pytest.mark.parametrize("target", sorted(SHELLS))
@pytest.mark.parametrize("language", ["1364-2005", "1800-2023"])
def test_lint_warns_of_nothing(
    target: str, language: str, bundle_for: Callable[[str], Bundle]
) -> None:
    """But for the rules that the adapter's own list waives; with two pipelines."""
    bundle, program = bundle_for(target), find_verilator()
    shell, folder = SHELLS[target], bundle.root / "shell"
    counts = ["-GSHELLS=2", "-GPORTS=2"]
    if shell.family == "corundum":
        counts = ["-GSHELLS=2", "-GIF_COUNT=2", f"-GAXIS_DATA_WIDTH={8 * shell.port.beat_bytes}"]
    words = ["--lint-only", "-Wall", "--default-language", language, *counts]
    words += ["--top-module", shell.top("tiny"), str(folder / "lint.vlt")]
    done = subprocess.run(
        [str(program.binary), *words, "-F", str(folder / "files.f")],
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", sorted(SHELLS))
def test_lists_name_what_is_there(target: str, bundle_for: Callable[[str], Bundle]) -> None:
    bundle = bundle_for(target)
    folder = bundle.root / "shell"
    listed = {
        (folder / line).resolve() for line in (folder / "files.f").read_text().split("\n")[1:-1]
    }
    verilog = {*bundle.nic_verilog, *(bundle.path(name) for name in SHELLS[target].sources("tiny"))}
    assert listed == {path.resolve() for path in verilog}
    images = {(bundle.images_dir / name).resolve() for name in bundle.manifest.images}
    if SHELLS[target].family == "corundum":
        names = re.findall(r"\$\(MIDWIRE\)/(\S+)", (folder / "files.mk").read_text())
        built = {(bundle.root / name).resolve() for name in names}
    else:
        script = (folder / "build_box_250mhz.tcl").read_text()
        built = {(folder / name).resolve() for name in re.findall(r" (\.\./\S+)", script)}
    assert built == listed | images


def test_the_block_has_corundums_interface(bundle_for: Callable[[str], Bundle]) -> None:
    """Every parameter and every port once, and no port of ours; SHELLS has a default."""
    text = bundle_for("corundum-100g").path("shell/mqnic_app_block.v").read_text()
    head = text[: text.index(");\n    initial")]
    ports = re.findall(r"^    (input|output) wire(?: \[.*?:0\])? (\w+),?$", head, re.M)
    assert sorted(ports) == sorted((port.way, port.name) for port in corundum_ports.PORTS)
    assert len(ports) == len({name for _, name in ports}) == 336
    parameters = re.findall(r"^    parameter (\w+) = ", head, re.M)
    assert parameters == [*corundum_ports.PARAMETERS, "SHELLS"]


def test_corundum_is_told_who_we_are(bundle_for: Callable[[str], Bundle]) -> None:
    bundle = bundle_for("corundum-25g")
    ours = f"32'h{csr.TYPE:08x}"
    config = bundle.path("shell/config.tcl").read_text()
    assert f'dict set params APP_ID "{ours}"\n' in config
    assert 'dict set params APP_AXIS_SYNC_ENABLE "1"\n' in config
    block = bundle.path("shell/mqnic_app_block.v").read_text()
    assert f"parameter APP_ID = {ours}," in block


def test_a_bundle_for_no_shell_brings_no_adapter(bundle_for: Callable[[str], Bundle]) -> None:
    files = bundle_for("xcup").manifest.files
    assert not [name for name in files if name.startswith("shell/")]
    pipeline = "rtl/tiny_nic.v"
    shared = [name for name in files if name.startswith("rtl/") and name != pipeline]
    other = bundle_for("opennic-250").manifest.files
    assert {name: other[name] for name in shared} == {name: files[name] for name in shared}
    for target, bits in (("xcup", 64), ("corundum-25g", 128), ("opennic-250", 512)):
        text = bundle_for(target).path(pipeline).read_text()
        for way, port in (("input", "s_axis_tdata"), ("output", "m_axis_tdata")):
            assert re.search(rf"{way} (wire )?\[{bits - 1}:0\] {port}\b", text), (target, port)


def test_it_is_made_the_same_again(
    sources: tuple[Path, Path], tmp_path: Path, bundle_for: Callable[[str], Bundle]
) -> None:
    options = Options(calibrate=sources[1], target="opennic-250", name="tiny")
    again = compile_model(sources[0], tmp_path / "b", options).bundle
    assert again.manifest.files == bundle_for("opennic-250").manifest.files


def test_a_part_must_be_one_of_the_shells_family() -> None:
    with pytest.raises(OptionError) as caught:
        Options(target="corundum-25g", part="ecp5-85f")
    assert str(caught.value) == (
        "--part: the part is of another family; expected a part of xcup, as --target says; found "
        "'ecp5-85f', which is of ecp5. Leave --target out, or choose another part."
    )


def test_a_part_keeps_the_shell(sources: tuple[Path, Path], tmp_path: Path) -> None:
    options = Options(calibrate=sources[1], target="corundum-25g", part="xcku3p")
    bundle = compile_model(sources[0], tmp_path / "b", options).bundle
    assert bundle.manifest.device["name"] == "xcku3p"
    assert "shell/mqnic_app_block.v" in bundle.manifest.files
