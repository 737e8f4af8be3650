# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire demo``: the whole main job on the shipped digits model.

Compiles the model in a child process (this side of midwire never loads the compiler), starts cloud,
NIC and edge as processes, streams the held-out digits, and holds every answer against what the
float model and the numpy reference say. The bundle is cached by the content of everything that went
into it; two demos may race.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import importlib.util
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..hw import cache
from ..hw.console import Console, JsonFlag
from ..hw.errors import DataError
from ..hw.formats.bundle import Bundle
from ..hw.formats.npz import read_npz
from ..hw.formats.tensor import AnyArray
from ..hw.kernels.reference import Reference
from .client.samples import read_samples
from .errors import StartError
from .model_parts import Part, load_part
from .nodes.process import Child
from .nodes.supervisor import Supervisor
from .wire.tensors import fingerprint_of

EXAMPLE = "midwire.examples.digits"
DECLINED_SAMPLE = 17
"""Sent a second time with 'may execute here' cleared; any would do."""


@dataclass(frozen=True)
class Example:
    """The shipped model and data."""

    model: Path
    calibration: Path
    heldout: Path
    cut: tuple[str, str]
    trained: Mapping[str, float]


@contextlib.contextmanager
def shipped_example() -> Iterator[Example]:
    """The files of the digits example, as paths."""
    if importlib.util.find_spec(EXAMPLE) is None:
        raise StartError(
            "the digits example is not installed",
            where="midwire demo",
            expected=f"the package {EXAMPLE}",
            found="no such package",
            remedy="Install midwire again",
        )
    with importlib.resources.as_file(importlib.resources.files(EXAMPLE)) as folder:
        about = json.loads((folder / "digits.json").read_text(encoding="utf-8"))
        yield Example(
            folder / "digits.onnx",
            folder / "calibration.npz",
            folder / "heldout.npz",
            (about["from"], about["to"]),
            about,
        )


def _source_files(*packages: str) -> Iterator[Path]:
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in (".py", ".v", ".txt", ".json") and path.is_file():
                    yield path


def bundle_key(example: Example) -> str:
    """Names a bundle by the content of all that goes into it, our own source included."""
    total = hashlib.sha256(f"demo 1 {metadata.version('midwire')} {example.cut}".encode())
    inputs = [example.model, example.calibration, *_source_files("midwire.compiler", "midwire.hw")]
    for path in inputs:
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest()


def compiled_bundle(example: Example, console: Console) -> tuple[Path, float | None]:
    """The example's bundle out of the cache; compiles it where it is not there.

    Returns its folder and the seconds that compiling took, None if it did not have to.
    """
    took: list[float] = []

    def fill(folder: Path) -> None:
        console.say("compiling the digits model (only the first time) ...")
        started = time.monotonic()
        first, last = example.cut
        words = ["compile", str(example.model), "-o", str(folder / "bundle")]
        words += ["--from", first, "--to", last, "--calibrate", str(example.calibration)]
        with console.phases() as report, Child.midwire("compile", words, console.say) as child:
            report("compiling", 0, 0)
            event = child.events.get()
            if event is None or "error" in event or child.wait() != 0:
                found = (event or {}).get("error", {}).get("message", "it ended without a result")
                raise StartError(
                    "the digits model was not compiled",
                    where="midwire demo",
                    expected="a bundle",
                    found=str(found).rstrip("."),
                    remedy="See what `midwire doctor` says",
                )
        took.append(time.monotonic() - started)

    def waiting() -> None:
        console.say("waiting for another `midwire demo` that compiles the same ...")

    folder = cache.default_folder().with_name("demo")
    path = cache.entry(folder, bundle_key(example), fill, waiting=waiting) / "bundle"
    return path, took[0] if took else None


@dataclass
class Expectation:
    """What each sample should give."""

    labels: AnyArray
    float_top1: AnyArray
    slice_sha256: list[str]
    input_bytes: int
    cut_bytes: int


def expectation(bundle: Bundle, example: Example, count: int) -> Expectation:
    """Run the float model, and the edge part with the numpy reference, on the held-out samples."""
    whole, edge = Part(example.model), load_part(bundle, "edge")
    samples = [array[:count] for array in read_samples(example.heldout, whole)]
    stored = read_npz(example.heldout)
    if "label" not in stored:
        raise DataError("no labels", where=str(example.heldout), expected="the key label")
    labels = stored["label"][: len(samples[0])]
    wires: list[list[AnyArray]] = []
    top1 = []
    for index in range(len(samples[0])):
        sample = [array[index] for array in samples]
        top1.append(int(whole.run(sample)[0].argmax()))
        wires.append([wire.ravel() for wire in edge.run(sample)])
    stacked = [np.stack(column) for column in zip(*wires, strict=True)]
    results = Reference.of_bundle(bundle).run_wire(stacked)
    inputs = bundle.manifest.inputs
    return Expectation(
        labels=labels,
        float_top1=np.array(top1),
        slice_sha256=[
            fingerprint_of(bundle.manifest.outputs, [result[i] for result in results])
            for i in range(len(labels))
        ],
        input_bytes=sum(array[0].nbytes for array in samples),
        cut_bytes=sum(spec.elements * np.dtype(spec.dtype).itemsize for spec in inputs),
    )


@dataclass
class Score:
    """What the live system gave."""

    expected: Expectation
    right: int = 0
    done: int = 0
    failed: int = 0
    mismatches: int = 0
    by_nic: int = 0
    wire_bytes: int = 0
    cycles: list[int] = field(default_factory=list)
    fingerprints: dict[int, str] = field(default_factory=dict)
    declined: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def take(self, event: Mapping[str, Any]) -> None:
        """Score one line of the edge."""
        if event["event"] == "failure":
            self.failed += 1
            return
        sample, fingerprint = event["sample"], event["slice_sha256"]
        same = fingerprint == self.expected.slice_sha256[sample]
        if not event["may_execute"]:
            self.declined = {
                "sample": sample,
                "executed_by": event["executed_by"],
                "reason": event["declined"],
                "same_bits": same and fingerprint == self.fingerprints.get(sample),
            }
            return
        self.done += 1
        self.right += int(event["top1"] == self.expected.labels[sample])
        self.mismatches += int(not same)
        self.wire_bytes = event["wire_bytes"]
        if event["executed_by"] == "nic":
            self.by_nic += 1
            self.cycles.append(event["cycles"])
            self.fingerprints[sample] = fingerprint

    @property
    def accuracy(self) -> float:
        """Share of right answers so far."""
        return self.right / self.done if self.done else 0.0


def summarise(bundle: Bundle, score: Score, nic: Mapping[str, Any]) -> dict[str, Any]:
    """The demo's JSON object."""
    expected, manifest = score.expected, bundle.manifest
    cycles = float(np.median(score.cycles)) if score.cycles else None
    return {
        "samples": len(expected.labels),
        "replies": score.done,
        "failed": score.failed,
        "executed_by_nic": score.by_nic,
        "accuracy": {
            "split": score.accuracy,
            "float": float(np.mean(expected.float_top1 == expected.labels)),
        },
        "rtl_mismatches": score.mismatches,
        "inferences_per_second": score.done / score.seconds if score.seconds else None,
        "cycles_per_inference": cycles,
        "latency_cycles_predicted": manifest.latency_cycles,
        "interval_cycles_predicted": manifest.cycles_per_inference,
        "simulated_cycles": nic.get("cycles"),
        "target": {
            "name": manifest.target,
            "clock_mhz": manifest.clock_mhz,
            "microseconds_per_inference": cycles / manifest.clock_mhz if cycles else None,
            "inferences_per_second": manifest.clock_mhz * 1e6 / manifest.cycles_per_inference,
        },
        "bytes_per_inference": {
            "input": expected.input_bytes,
            "cut_as_in_the_model": expected.cut_bytes,
            "wire": score.wire_bytes,
            "saved_at_the_cut": expected.cut_bytes - score.wire_bytes,
        },
        "declined": score.declined,
    }


def _text(summary: Mapping[str, Any]) -> str:
    """The summary in lines that fit a terminal of 80 columns."""
    accuracy, sizes = summary["accuracy"], summary["bytes_per_inference"]
    target, declined = summary["target"], summary["declined"]
    cycles = summary["cycles_per_inference"]
    rows = [
        ("accuracy", f"split {accuracy['split']:.2%}, float model {accuracy['float']:.2%}"),
        (
            "RTL and reference",
            (
                f"{summary['rtl_mismatches']} mismatches in {summary['executed_by_nic']} slices "
                "executed in the NIC"
            ),
        ),
        (
            "live",
            f"{summary['inferences_per_second'] or 0:.0f} inferences/s through three processes",
        ),
        (
            "simulated",
            "no slice was executed"
            if cycles is None
            else (
                f"{cycles:.0f} cycles an inference: {target['microseconds_per_inference']:.2f} us "
                f"at {target['clock_mhz']:g} MHz ({target['name']})"
            ),
        ),
        (
            "back to back",
            (
                f"one every {summary['interval_cycles_predicted']} cycles (predicted): "
                f"{target['inferences_per_second']:.0f} inferences/s"
            ),
        ),
        (
            "bytes at the cut",
            (
                f"{sizes['wire']} instead of {sizes['cut_as_in_the_model']}, "
                f"{sizes['saved_at_the_cut']} saved (a digit has {sizes['input']})"
            ),
        ),
        (
            "declined on purpose",
            "not answered"
            if not declined
            else f"digit {declined['sample']}, finished in the {declined['executed_by']} "
            + ("with the same bits" if declined["same_bits"] else "with OTHER bits"),
        ),
    ]
    width = max(len(name) for name, _ in rows)
    verdict = "exact, end to end" if succeeded(summary) else "NOT as it should be"
    lines = [f"{summary['samples']} digits through edge, NIC and cloud: {verdict}"]
    return "\n".join(lines + [f"  {name:{width}}  {value}" for name, value in rows])


def succeeded(summary: Mapping[str, Any]) -> bool:
    """Whether everything that the demo promises came true."""
    declined = summary["declined"]
    return bool(
        summary["failed"] == 0
        and summary["rtl_mismatches"] == 0
        and summary["replies"] == summary["samples"] == summary["executed_by_nic"]
        and declined
        and declined["same_bits"]
        and declined["executed_by"] == "cloud"
    )


def _stream(running: Supervisor, options: Sequence[str], score: Score, console: Console) -> None:
    total = len(score.expected.labels) + 1
    with console.progress() as progress:
        task = progress.add_task("digits", total=total, note="")
        started = time.monotonic()
        for name, event in running.edge(options):
            if name != "edge":
                continue
            if event.get("event") == "ready":
                started = time.monotonic()
            elif event.get("event") in ("reply", "failure"):
                score.take(event)
                if event["may_execute"]:
                    score.seconds = time.monotonic() - started
                rate = score.done / max(score.seconds, 1e-9)
                note = f"accuracy {score.accuracy:.2%}, {rate:.0f} inferences/s"
                progress.update(task, advance=1, note=note)


def demo(
    count: Annotated[int, typer.Option(min=1, help="Held-out digits to stream.")] = 360,
    window: Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at most.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Run the whole main job on the shipped digits model: edge, simulated NIC and cloud, live."""
    console = Console(as_json)
    with shipped_example() as example:
        path, compile_seconds = compiled_bundle(example, console)
        bundle = Bundle.load(path)
        expected = expectation(bundle, example, count)
        score = Score(expected)
        samples = len(expected.labels)
        options = ["--inputs", str(example.heldout), "--count", str(samples)]
        options += ["--decline", str(min(DECLINED_SAMPLE, samples - 1)), "--window", str(window)]
        console.say("starting cloud and NIC ...")
        with Supervisor([path], console) as running:
            _stream(running, options, score, console)
            nic = running.stop("nic")
        summary = summarise(bundle, score, nic)
        summary["compile_seconds"] = compile_seconds
    console.result(summary, _text(summary))
    if not succeeded(summary):
        raise typer.Exit(1)
