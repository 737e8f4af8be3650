# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that a bundle brings: what it is, its ports, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator

from ...hw.formats.bundle import WEIGHT_BANK, Manifest
from ...hw.formats.tensor import TensorSpec
from .integration import FILE_LIST, WAIVERS
from .remarks import quoted


def readme(manifest: Manifest) -> str:
    """Markdown text, of what the manifest says only."""
    return "\n".join(
        [
            f"# {manifest.prefix}_slice",
            "",
            f"Layers of the model {_code(manifest.name)} as fixed-point streaming RTL, by midwire.",
            "Its outputs equal those of `slice.onnx` bit for bit. `manifest.json` says all of this",
            "for programs.",
            "",
            *_figures(manifest),
            "",
            "## Ports",
            "",
            *_ports(manifest),
            "",
            *_streams(manifest),
            "",
            "## Use",
            "",
            *_use(manifest),
            "",
        ]
    )


def _figures(manifest: Manifest) -> Iterator[str]:
    cycles, latency = manifest.cycles_per_inference, manifest.latency_cycles
    rate = manifest.clock_mhz * 1e6 / cycles
    yield "| | |"
    yield "|---|---|"
    yield (
        f"| clock | one, `clk`; {manifest.clock_mhz:g} MHz is meant for {manifest.target}, which "
        "no placer has confirmed |"
    )
    yield f"| cycles per inference | {cycles} exactly, without pauses: {rate:.0f} a second |"
    yield f"| latency | {latency} cycles, from the first beat in to the last beat out |"
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(manifest.resources.items()))
    yield f"| resources, estimated | {found or 'unknown'} |"
    yield f"| memory images | {len(manifest.images)} |"


def _ports(manifest: Manifest) -> Iterator[str]:
    yield "| port | width | way | what it is |"
    yield "|---|---|---|---|"
    yield "| `clk` | 1 | in | everything is sampled at its rising edge |"
    yield "| `aresetn` | 1 | in | active-low; one rising edge of `clk` while it is low is enough |"
    for side, way, specs in (("s", "in", manifest.inputs), ("m", "out", manifest.outputs)):
        for k, spec in enumerate(specs):
            what = f"tensor {_code(spec.name)}, {spec.lanes} elements a beat"
            yield from _axis(f"{side}{k}_axis", way, 8 * spec.beat_bytes, what)
    for k, memory in enumerate(manifest.memories):
        what = f"{memory.words} words of {memory.width} bits for `{memory.image}`, one a beat"
        yield from _axis(f"w{k}_axis", "in", 8 * memory.word_bytes, what)
    if manifest.memories:
        yield f"| `{WEIGHT_BANK}` | 1 | in | the bank that is read; `w*_axis` write the other one |"


def _axis(port: str, way: str, width: int, what: str) -> Iterator[str]:
    back = "out" if way == "in" else "in"
    yield f"| `{port}_tdata` | {width} | {way} | {what} |"
    yield f"| `{port}_tvalid`, `{port}_tlast` | 1 | {way} | `tlast` on the final beat |"
    yield f"| `{port}_tready` | 1 | {back} | |"


def _streams(manifest: Manifest) -> Iterator[str]:
    yield (
        "The first element of a beat is in the lowest bits. An element is little-endian in its "
        "container, and stands for"
    )
    yield (
        "`scale * (integer - zero point)`. Of an input's container the bits above the element's "
        "are not read. The order is"
    )
    yield "`tensor.reshape(dims).transpose(perm).ravel()`; `tvalid` never waits for `tready`."
    yield ""
    yield "| port | element | container | scale | zero point | shape | dims | perm | beats |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for side, specs in (("s", manifest.inputs), ("m", manifest.outputs)):
        for k, spec in enumerate(specs):
            yield f"| `{side}{k}_axis` | {_row(spec)} |"
    if manifest.memories:
        yield ""
        yield (
            f"Bank 0 begins with the images. `{WEIGHT_BANK}` may change when all `w*_axis` have "
            "had all their words, and"
        )
        yield (
            "no inference is between its first beat in and its last beat out. Where weights stay "
            "as they are, tie it and each `w*_axis_tvalid` to 0."
        )


def _row(spec: TensorSpec) -> str:
    qtype = spec.qtype
    return " | ".join(
        [
            f"{'signed' if qtype.signed else 'unsigned'}, {qtype.bits} bits",
            f"{8 * qtype.container_bytes} bits",
            f"{qtype.scale:.9g}",
            str(qtype.zero_point),
            str(list(spec.shape)),
            str(list(spec.layout.dims)),
            str(list(spec.layout.perm)),
            str(spec.elements // spec.lanes),
        ]
    )


def _use(manifest: Manifest) -> list[str]:
    text = _USE.format(name=manifest.prefix, waivers=WAIVERS, files=FILE_LIST)
    return text.strip().splitlines()


_USE = """
- `midwire verify .` compares RTL, numpy and ONNX Runtime; `test_bundle.py` is a cocotb bench, for
  `pytest`.
- `midwire evaluate . --inputs NPZ` says what the slice loses against the model's own layers.
- `verilator --lint-only -Wall --top-module {name}_slice {waivers} -F {files}` warns of nothing;
  `{waivers}` says which rules generated Verilog does not keep, and why.
- `{files}` lists the Verilog (2005); `{name}.core` is a FuseSoC core: `default`, `nic`, `lint`.
- Memories read their images, `rtl/*.hex`, by bare name from where the tool runs. A simulator takes
  them from elsewhere by `+{name}_images=DIR`, or `+midwire_images=DIR` for all bundles of a design.
- Names of modules and images begin with `{name}_`; `midwire compile --name` sets that.
- `{name}_nic` is the slice in a NIC's packet pipeline: AXI4-Streams `s_axis` and `m_axis` of 64
  bits with `tkeep` and `tuser` (bad frame), and registers on AXI4-Lite, `s_axil`.
"""


def _code(name: str) -> str:
    """A name out of a model in a table: nothing of it is Markdown."""
    plain = quoted(name).replace("`", "\\u0060").replace("|", "\\u007c")
    return f"`{plain}`"
