# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire inspect`` and ``midwire compile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..hw.console import Console, JsonFlag

if TYPE_CHECKING:
    from .pipeline import Compiled

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")]

FromOption = Annotated[
    list[str] | None,
    typer.Option("--from", help="Tensors that the slice starts at, separated by commas."),
]
ToOption = Annotated[
    list[str] | None,
    typer.Option("--to", help="Tensors that the slice ends at, separated by commas."),
]

ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=1,3,48,192",
        help="Shape of an input whose dimensions the model leaves open; once for each such input.",
    ),
]


def inspect(
    model: ModelArgument,
    from_: FromOption = None,
    to: ToOption = None,
    shape: ShapeOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which nodes can run in the NIC, why the others cannot, and where the model can be cut."""
    from .load.shapes import parse_shapes
    from .select.inspection import inspect_model, render

    console = Console(as_json)
    found = inspect_model(model, from_ or None, to or None, parse_shapes(shape or ()))
    console.result(found, "" if as_json else render(found))


def compile_(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the bundle to write.")],
    from_: FromOption = None,
    to: ToOption = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help=".npz of samples of the model's inputs; needed for float models."),
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of what midwire quantises, 2 to 16.")] = 8,
    rate: Annotated[
        float | None, typer.Option(help="Inferences per second at the target's clock.")
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="folded, unrolled, loadable, or auto for whichever is cheaper, by layer."
        ),
    ] = "auto",
    target: Annotated[str, typer.Option(help="Family of parts: xcup or ecp5.")] = "xcup",
    min_sqnr: Annotated[
        float | None,
        typer.Option(
            help="Least signal to noise ratio of the outputs, in dB; by default 15 from 7 bits on "
            "and 5 less for each bit below, where midwire quantises."
        ),
    ] = None,
    shape: ShapeOption = None,
    name: Annotated[
        str,
        typer.Option(
            help="What the names of modules and memory images begin with: give each bundle of a "
            "design its own."
        ),
    ] = "midwire",
    as_json: JsonFlag = False,
) -> None:
    """Compile the middle of a model to a bundle: Verilog, memory images and the parts around it."""
    from .load.shapes import parse_shapes
    from .pipeline import Options, compile_model

    console = Console(as_json)
    options = Options(
        from_ or None,
        to or None,
        calibrate,
        bits,
        rate,
        strategy,
        target,
        min_sqnr,
        shapes=parse_shapes(shape or ()),
        name=name,
    )
    with console.phases() as report:
        done = compile_model(model, output, options, report)
    console.result(done.as_json(), "" if as_json else _summary(done))


def _summary(done: Compiled) -> str:
    facts = done.as_json()
    share = 100 * facts["slice"]["macs_share"]
    rate = facts["clock_mhz"] * 1e6 / facts["cycles_per_inference"]
    least = done.worst
    sqnr = done.sqnr_from if least is None else f"{least.sqnr.text} on {done.sqnr_from}"
    resources = ", ".join(f"{count} {kind}" for kind, count in facts["resources"].items())
    slice_ = f"{', '.join(facts['slice']['inputs'])} to {', '.join(facts['slice']['outputs'])}"
    clock = f"{rate:.0f} a second at {facts['clock_mhz']:g} MHz"
    lines = [
        f"{facts['bundle']}: {slice_}, {share:.1f} % of the multiply-accumulates",
        f"  cycles per inference  {facts['cycles_per_inference']} ({clock})",
        f"  latency in cycles     {facts['latency_cycles']}",
        f"  signal to noise       {sqnr}",
        f"  estimated             {resources}",
        f"  seconds               {facts['seconds']:.1f}",
    ]
    return "\n".join(lines)
