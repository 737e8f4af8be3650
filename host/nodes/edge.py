# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge process: the first layers, then samples through the live system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, seconds
from ...hw.formats.bundle import Bundle
from ...hw.formats.files import check_output
from ...hw.formats.fragments import DEFAULT_MTU, MAX_MTU, MIN_MTU
from ...hw.formats.npz import ARRAYS
from ...hw.formats.tensor import AnyArray
from ..client.answers import Answers
from ..client.edge_client import DEFAULT_RETRIES, MAX_RETRIES, EdgeClient
from ..client.requests import Request, RequestOutcome
from ..client.samples import describe, random_samples, read_samples
from ..client.tally import Tally, summary_text
from ..policy.permission import EXECUTE_IN_CLOUD
from ..steer.paths import NetworkPath
from ..wire.udp import format_address, parse_address


def requests_for(
    samples: Sequence[AnyArray], count: int, declined: Sequence[int]
) -> Iterator[Request]:
    """One request a sample, then the declined ones again with 'may execute here' cleared."""
    for index in range(count):
        yield Request([array[index] for array in samples], tag=(index, True))
    for index in declined:
        sample = [array[index] for array in samples]
        yield Request(sample, permission=EXECUTE_IN_CLOUD, tag=(index, False))


def outcome_event(outcome: RequestOutcome) -> dict[str, Any]:
    """The line of JSON for one outcome."""
    index, may_execute = outcome.request.tag
    line = {
        "event": "reply" if outcome.error is None else "failure",
        "sample": index,
        "may_execute": may_execute,
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "path": str(outcome.path),
    }
    if outcome.error is not None:
        return {**line, "error": outcome.error.as_json()}
    return {
        **line,
        "executed_by": outcome.executed_by,
        "declined": outcome.declined,
        "cycles": outcome.cycles,
        "slice_sha256": outcome.slice_sha256,
        "wire_bytes": outcome.wire_bytes,
        "top1": describe(outcome.outputs or {}),
    }


def edge(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.", metavar="BUNDLE")],
    target: Annotated[
        list[str],
        typer.Option(help="First hop: the NIC, or the cloud itself; repeat for further paths."),
    ],
    inputs: Annotated[
        Path | None, typer.Option(help="Samples: .npz with in0, in1, ... or the inputs' names.")
    ] = None,
    random: Annotated[int, typer.Option(min=0, help="That many random samples instead.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random samples.")] = 0,
    count: Annotated[int, typer.Option(min=0, help="First so many samples only; 0: all.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Model outputs: .npz with out0, ...")
    ] = None,
    decline: Annotated[
        list[int] | None,
        typer.Option(help="Sample to send once more with 'may execute here' cleared; repeatable."),
    ] = None,
    deadline: Annotated[
        float, typer.Option(parser=seconds(0.01), help="Seconds until a request ends.")
    ] = 10.0,
    retries: Annotated[
        int, typer.Option(min=0, max=MAX_RETRIES, help="How often a request is sent again at most.")
    ] = DEFAULT_RETRIES,
    window: Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at most.")] = 1,
    tenant: Annotated[int, typer.Option(min=0, max=0xFFFF, help="Tenant number.")] = 0,
    bind: Annotated[
        str | None, typer.Option(help="Local address; by default any free port on loopback.")
    ] = None,
    mtu: Annotated[
        int, typer.Option(min=MIN_MTU, max=MAX_MTU, help="MTU towards the first hop, in bytes.")
    ] = DEFAULT_MTU,
    as_json: JsonFlag = False,
) -> None:
    """Run the edge node: stream samples through NIC and cloud.

    With --json, one line an outcome between the ready line and the summary.
    """
    if (inputs is None) == (random == 0):
        raise typer.BadParameter("give --inputs or --random", param_hint="--inputs")
    if output is not None:
        check_output(output, ARRAYS)
    console = Console(as_json)
    loaded = Bundle.load(bundle)
    paths = [NetworkPath.parse(text) for text in target]
    with EdgeClient(
        loaded,
        paths,
        bind=None if bind is None else parse_address(bind, "--bind"),
        deadline=deadline,
        retries=retries,
        window=window,
        tenant=tenant,
        mtu=mtu,
    ) as client:
        if inputs is not None:
            samples = read_samples(inputs, client.part, loaded.manifest.batch)
        else:
            samples = random_samples(client.part, random, seed)
        total = len(samples[0])
        if count:
            total = min(total, count)
        again = decline or []
        if any(not 0 <= index < len(samples[0]) for index in again):
            raise typer.BadParameter(
                f"samples are 0 to {len(samples[0]) - 1}", param_hint="--decline"
            )
        at = format_address(client.address)
        console.event(
            {
                "event": "ready",
                "node": "edge",
                "listen": at,
                "pid": os.getpid(),
                "samples": total,
                "requests": total + len(again),
            },
            f"edge: {total} samples from {at} by way of {paths[0]}",
        )
        tally = Tally()
        answers = Answers()
        with console.progress() as progress:
            task = progress.add_task("inferences", total=total + len(again), note="")
            for outcome in client.stream(requests_for(samples, total, again)):
                tally.add(outcome)
                if output is not None:
                    answers.add(outcome)
                if as_json:
                    console.event(outcome_event(outcome))
                if outcome.error is not None and tally.problems[outcome.error.problem] == 1:
                    console.say(f"error: {outcome.error.paragraph()}")  # counted from then on
                progress.update(task, advance=1)
        if output is not None:
            answers.write(output)
        summary = {**tally.summary(), "counters": client.counters}
    for problem, number in tally.problems.items():
        if number > 1:
            console.say(f"error: {number - 1} more ended like that: {problem}")
    console.event({"event": "done", **summary}, f"edge: {summary_text(summary)}")
    if tally.failed:
        raise typer.Exit(1)
