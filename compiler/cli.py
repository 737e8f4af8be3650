# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire inspect`` and ``midwire compile``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..hw.console import FAILURE, Console, JsonFlag
from ..hw.sqnr import NOT_MEASURED
from .map.targets import occupied

if TYPE_CHECKING:
    from .pipeline import Compiled

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.")]

FromOption = Annotated[
    list[str] | None,
    typer.Option("--from", help="Tensors that the slice starts at, separated by commas, or @N."),
]
ToOption = Annotated[
    list[str] | None,
    typer.Option("--to", help="Tensors that the slice ends at, separated by commas, or @N."),
]

ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=1,3,48,192",
        help="Shape of an input whose dimensions the model leaves open; once for each such input.",
    ),
]

TargetOption = Annotated[
    str | None,
    typer.Option(
        help="Family of parts: xcup (by default), xc7 or ecp5; or a shell to be built into, with "
        "an adapter for it: corundum-25g, corundum-100g or opennic-250."
    ),
]


def inspect(
    model: ModelArgument,
    from_: FromOption = None,
    to: ToOption = None,
    shape: ShapeOption = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Say too what the slice costs at different rates.")
    ] = False,
    target: TargetOption = None,
    part: Annotated[
        str | None, typer.Option(help="Part that --pareto compares with, such as xc7a100t.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which nodes can run in the NIC, why the others cannot, and where the model can be cut.

    In --from and --to, @N is the cut with that number in the table of cuts.

    The exit status is 0 if there is a slice, 1 if there is none or the model cannot be read, and 2
    for wrong usage, cuts that are none and files that are not there among it.
    """
    from .comparison import compare_rates
    from .load.shapes import parse_shapes
    from .map.catalogue import aimed_at
    from .select.inspection import inspected
    from .select.listing import render

    console = Console(as_json)
    shapes = parse_shapes(shape or ())
    aimed_at(target, part)  # refuses what is none before any work
    seen = inspected(model, from_ or None, to or None, shapes)
    found = seen.facts
    if pareto and seen.selection is not None:
        found["pareto"] = compare_rates(seen.selection.graph, target, part)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    console.result(found, "" if as_json else render(found, encoding=encoding))
    if not found["candidates"]:
        raise typer.Exit(FAILURE)


def compile_(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the bundle to write.")],
    from_: FromOption = None,
    to: ToOption = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help=".npz of samples of the model's inputs; needed for float models."),
    ] = None,
    bits: Annotated[
        str | None,
        typer.Option(
            help="Bits of what midwire quantises, 2 to 16; 8,LAYER=12 for a layer that differs; "
            "auto for the cheapest widths that keep the limit. By default 8, and auto where those "
            "lose more."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Inferences per second at the target's clock. By default one in 50000 cycles, in "
            "fewer if that keeps no more than 64 multipliers busy, and in more if it takes more "
            "than 1024."
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="folded, unrolled, loadable, or auto for whichever is cheaper, by layer."
        ),
    ] = "auto",
    target: TargetOption = None,
    min_sqnr: Annotated[
        float | None,
        typer.Option(
            help="Least signal to noise ratio of the slice's outputs, in dB. Where midwire "
            "quantises, the default limit is half a point of top-1 with labels, else an error of 1 "
            "%."
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
    max_error: Annotated[
        float | None,
        typer.Option(help="Largest relative error of the model's outputs, in percent."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Largest drop of top-1, in points; needs labels (key label)."),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            help="Share of the samples that calibration does not see and the loss is measured on; "
            "by default a quarter of 8 or more."
        ),
    ] = None,
    calibration: Annotated[
        str,
        typer.Option(help="How ranges are found: mse (least squared error), min-max, percentile."),
    ] = "mse",
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Zero point 0 for tensors with negative values.")
    ] = False,
    bias_correction: Annotated[
        bool, typer.Option(help="Let biases make up for rounded weights; costs no hardware.")
    ] = True,
    part: Annotated[
        str | None,
        typer.Option(
            help="Part that the slice must fit into, such as xc7a100t or ecp5-85f (a wrong name "
            "lists all). The default rate is lowered until it does."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="lut=N,ff=N,dsp=N,bram=N",
            help="Most that the slice may take, by the estimate; bram counts blocks of 18 kbit. "
            "Without --rate, the fastest slice that fits.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compile the middle of a model to a bundle: Verilog, memory images and the parts around it."""
    from .load.shapes import parse_shapes
    from .pipeline import Options, compile_model

    console = Console(as_json)
    options = Options(
        from_=from_ or None,
        to=to or None,
        calibrate=calibrate,
        bits=bits,
        rate=rate,
        strategy=strategy,
        target=target,
        part=part,
        budget=budget,
        min_sqnr=min_sqnr,
        max_error=max_error,
        max_drop=max_drop,
        hold_out=hold_out,
        calibration=calibration,
        symmetric=symmetric,
        bias_correction=bias_correction,
        shapes=parse_shapes(shape or ()),
        name=name,
    )
    with console.phases() as report:
        done = compile_model(model, output, options, report)
    for sentence in done.warnings:
        console.say(f"warning: {sentence}.")
    console.result(done.as_json(), "" if as_json else _summary(done))


def _summary(done: Compiled) -> str:
    facts = done.as_json()
    share = 100 * facts["slice"]["macs_share"]
    rate = facts["clock_mhz"] * 1e6 / facts["cycles_per_inference"]
    least, accuracy = done.worst, done.accuracy
    sqnr = done.sqnr_from if least is None else f"{least.sqnr.text} on {done.sqnr_from}"
    resources = ", ".join(f"{count} {kind}" for kind, count in facts["resources"].items())
    slice_ = f"{', '.join(facts['slice']['inputs'])} to {', '.join(facts['slice']['outputs'])}"
    clock = f"{rate:.0f} a second at {facts['clock_mhz']:g} MHz"
    lines = [
        f"{facts['bundle']}: {slice_}, {share:.1f} % of the multiply-accumulates",
        f"  cycles per inference  {facts['cycles_per_inference']} ({clock})",
        f"  latency in cycles     {facts['latency_cycles']}",
        f"  signal to noise       {sqnr}",
        f"  whole model           {NOT_MEASURED if accuracy is None else accuracy.text}",
        *_worst_layers(facts["layers"]),
        f"  estimated             {resources}",
        f"  of {facts['device']['name']:<18} {_shares(facts['resources'], facts['device'])}",
        f"  seconds               {facts['seconds']:.1f}",
    ]
    return "\n".join(lines)


def _shares(resources: Mapping[str, int], device: Mapping[str, Any]) -> str:
    """How much of a device the slice takes."""
    shares = {n: 100 * need / max(1, device[n]) for n, need in occupied(resources).items()}
    return ", ".join(f"{share:.3g} % {name}" for name, share in shares.items())


_LAYERS_SHOWN = 5


def _worst_layers(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each of the layers with the least signal to noise."""
    measured = [layer for layer in layers if layer["sqnr_db"] is not None]
    least = sorted(measured, key=lambda layer: float(layer["sqnr_db"]))[:_LAYERS_SHOWN]
    return [f"    {layer['sqnr']:>8} at {layer['name']}" for layer in least]
