# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire verify``, ``midwire evaluate`` and ``midwire run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..hw.console import Console, JsonFlag
from ..hw.formats.bundle import Bundle

BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Folder that compile wrote.")
]


def verify(
    bundle: BundleArgument,
    inputs: Annotated[
        Path | None,
        typer.Option("--inputs", help=".npz of samples of the slice's or model's inputs."),
    ] = None,
    vectors: Annotated[int, typer.Option(min=1, help="Number of vectors.")] = 16,
    stall: Annotated[
        float, typer.Option(min=0.0, max=0.95, help="Probability of a pause, each port and cycle.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random vectors and pauses.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Prove a bundle exact: RTL in Verilator against the reference against ONNX Runtime."""
    from .verify import verify as prove

    console = Console(as_json)
    loaded = Bundle.load(bundle)
    with console.phases() as report:
        found = prove(loaded, inputs=inputs, vectors=vectors, stall=stall, seed=seed, report=report)
    console.result(found.as_json(), _verdict(found.as_json()))
    if not found.passed:
        raise typer.Exit(1)


def _verdict(found: dict[str, object]) -> str:
    lines = ["exact" if found["passed"] else "NOT exact"]
    for key, value in found.items():
        if key != "passed" and value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"  {key.replace('_', ' '):32} {shown}")
    return "\n".join(lines)


def evaluate(
    bundle: BundleArgument,
    inputs: Annotated[
        Path,
        typer.Option("--inputs", help=".npz of samples of the model's inputs; with label, if any."),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Say what splitting a model costs: accuracy of both, and each layer's share of the loss."""
    from .evaluation import evaluate as compare

    console = Console(as_json)
    loaded = Bundle.load(bundle)
    with console.phases() as report:
        found = compare(loaded, inputs, report)
    lines = [f"{found.accuracy.samples} samples: {found.accuracy.text}"]
    lines += [
        f"  {100 * layer.share:6.1f} %  {layer.sqnr.text if layer.tensor else '':>10}  {layer.name}"
        for layer in found.layers
    ]
    console.result(found.as_json(), "\n".join(lines))


def run(
    bundle: BundleArgument,
    inputs: Annotated[
        Path, typer.Option("--inputs", help=".npz of samples of the slice's or model's inputs.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=".npz to write: out0, out1, ...")],
    backend: Annotated[str, typer.Option(help="rtl or reference.")] = "rtl",
    as_json: JsonFlag = False,
) -> None:
    """Run the slice over samples and write its dequantised outputs."""
    from ..hw.formats.files import check_output
    from ..hw.formats.npz import ARRAYS, read_npz, write_npz
    from .execute import backend_named, execute
    from .vectors import wire_batches

    console = Console(as_json)
    chosen = backend_named(backend)
    check_output(output, ARRAYS)
    loaded = Bundle.load(bundle)
    wires, batch = wire_batches(loaded, read_npz(inputs), str(inputs))
    with console.phases() as report:
        done = execute(loaded, wires, batch=batch, backend=chosen, progress=report)
    write_npz(output, done.outputs)
    console.result(
        {
            "outputs": [
                {
                    "key": f"out{i}",
                    "name": spec.name,
                    "shape": done.outputs[f"out{i}"].shape[1:],
                    "scale": spec.qtype.scale,
                }
                for i, spec in enumerate(loaded.manifest.outputs)
            ],
            "inferences": done.inferences,
            "inferences_per_second": done.inferences_per_second,
            "cycles_per_second": done.cycles_per_second,
            "backend": backend,
            "path": output,
        },
        f"{done.inferences} inferences, {done.inferences_per_second:.1f} a second, to {output}",
    )
