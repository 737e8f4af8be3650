# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is left of the rate when datagrams are lost and swapped on every hop.

``python -m bench.recovery``: a client sends tensors of 25 fragments through hops that lose 1 % and
swap 5 % of the datagrams, both ways, and through hops that do neither, in turns, so that both see
the same machine. ``--datapath reference`` or ``rtl`` puts a NIC between, with a hop before and one
behind it. Each kind has a cloud and a NIC of its own, so that asks are counted for each: a clean
run has none to make. Every answer is compared with the model's own. The exit status is 1 if one is
wrong or missing.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from midwire import Bundle, Options, compile_model
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.nodes.process import Child
from midwire.host.steer.paths import NetworkPath
from midwire.host.wire.udp import LOOPBACK, Address, parse_address
from midwire.hw.formats.tensor import AnyArray
from tests.host.hop import Disorder, Fate, Hop

from .designs import Design

DESIGN = Design(
    "a tensor of 25 fragments to the slice, and a small answer",
    """g (float[N, 16, 30, 70] x) => (float[N, 16] y) {
    a = Relu (x)
    b = GlobalAveragePool (a)
    y = Flatten (b)
    }""",
    options={"from_": "x", "rate": 1e4},
)

RESULTS = {"small": "b", "wide": "a"}
"""Where the slice ends: a result is one fragment, or 25, and every fifth of those loses one,
which the NIC process sends again.
"""

READY_SECONDS = 60.0
SAMPLES = 16

Shares = dict[str, float]
"""Of datagrams, by the names that :class:`Disorder` has for what becomes of them."""


@dataclass
class Measured:
    """All rounds of one kind."""

    requests: int = 0
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    pipeline: Counter[str] = field(default_factory=Counter)
    cloud: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """Messages that asked for something, whoever sent them."""
        client = self.counters["asked"] + self.counters["answers_asked"]
        cloud = self.cloud["asked"] + self.cloud["results_asked"]
        return client + cloud + self.pipeline["asked"]

    @property
    def rate(self) -> float:
        """Requests a second, in the round in the middle: others use the machine too."""
        return statistics.median(self.rates)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "requests": self.requests,
            "per_second": self.rate,
            "per_second_by_round": self.rates,
            "latency_ms": {
                name: float(np.quantile(self.latencies, share)) * 1e3
                for name, share in (("p50", 0.5), ("p99", 0.99))
            },
            "wrong": self.wrong,
            "failed": self.failed,
            "counters": dict(self.counters),
            "nic": {name: count for name, count in self.pipeline.items() if count},
            "cloud": dict(self.cloud),
            "asked": self.asked,
        }


class Chain:
    """A cloud, perhaps a NIC, and a hop in front of each, until the end of a ``with``."""

    def __init__(self, bundle: Bundle, disorder: Shares, seed: int) -> None:
        self._disorder = disorder
        self._seeds = itertools.count(seed, 1000)
        self._stack = contextlib.ExitStack()
        self._nic: NicProcess | None = None
        self.node = Child.midwire("cloud", ["cloud", str(bundle.root)])
        self._stack.enter_context(self.node)
        self._bundle = bundle
        self.cloud = parse_address(self.node.ready(READY_SECONDS)["listen"])

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, datapath: str) -> Address:
        """Start hops, and a NIC if there is to be one; returns the address of the first hop."""
        at = self._hop(self.cloud)
        if datapath != "none":
            wire = UdpWire((LOOPBACK, 0), [at])
            nic = start_nic(self._bundle, wire, at, datapath=datapath)
            self._nic = self._stack.enter_context(nic)
            at = self._hop(self._nic.address)
        return at

    def pipeline(self) -> Counter[str]:
        """What the NIC counted, if there is one."""
        return Counter({} if self._nic is None else self._nic.statistics()["pipeline"])

    def served(self) -> Counter[str]:
        """End the cloud; what it counted."""
        [stopped] = self.node.stop()
        return Counter(stopped["counters"])

    def _hop(self, beyond: Address) -> Address:
        """Start a hop in a process of its own; a thread would make the client wait."""
        here, there = multiprocessing.Pipe()
        start = (beyond, self._disorder, next(self._seeds), there)
        process = multiprocessing.get_context("spawn").Process(target=work, args=start)
        process.start()
        self._stack.callback(process.join)
        self._stack.callback(here.send, None)
        address: Address = here.recv()
        return address


def work(beyond: Address, disorder: Shares, seed: int, pipe: Connection) -> None:
    """A hop, until something comes by the pipe."""
    seeds = itertools.count(seed)

    def fates() -> Fate:
        return Disorder(next(seeds), **disorder)

    with Hop(beyond, fates, fates) as hop:
        pipe.send(hop.address)
        pipe.recv()


def right_answers(bundle: Bundle, cloud: Address, samples: Sequence[AnyArray]) -> list[bytes]:
    """What the cloud answers without any hop: the bits that every answer must have."""
    with EdgeClient(bundle, [NetworkPath(cloud)]) as client:
        return [bits(client.infer(Request([sample]))) for sample in samples]


def bits(outcome: RequestOutcome) -> bytes:
    """The outputs' bytes and the fingerprint of the slice's."""
    outputs = [array.tobytes() for array in (outcome.outputs or {}).values()]
    return b"".join([*outputs, outcome.slice_sha256.encode()])


class Bench:
    """One client by way of hops, round after round."""

    def __init__(self, client: EdgeClient, samples: Sequence[AnyArray], right: list[bytes]) -> None:
        self._client, self._samples, self._right = client, samples, right
        self.measured = Measured()

    def run(self, count: int) -> None:
        """Another round of so many requests."""
        measured, places = self.measured, [i % len(self._samples) for i in range(count)]
        before, started = Counter(self._client.counters), time.monotonic()
        for outcome in self._client.stream(Request([self._samples[i]], tag=i) for i in places):
            measured.latencies.append(outcome.seconds)
            measured.failed += outcome.error is not None
            measured.wrong += (
                outcome.error is None and bits(outcome) != self._right[outcome.request.tag]
            )
        measured.rates.append(count / (time.monotonic() - started))
        measured.requests += count
        measured.counters += Counter(self._client.counters) - before


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Measured]:
    """Rounds without disorder and with it, in turns."""
    model, file = DESIGN.save(folder)
    bundle = compile_model(
        model,
        folder / "recovery.mw",
        Options(calibrate=file, to=RESULTS[options.result], **DESIGN.options),
    ).bundle
    samples = list(np.load(file)["in0"][:SAMPLES])
    shares = {"lose": options.lose / 100, "swap": options.swap / 100}
    kinds: dict[str, Shares] = {"clean": {}, "disorder": shares}
    with contextlib.ExitStack() as stack:
        benches: dict[str, Bench] = {}
        chains: dict[str, Chain] = {}
        for name, disorder in kinds.items():
            chain = stack.enter_context(Chain(bundle, disorder, options.seed))
            right = right_answers(bundle, chain.cloud, samples)
            first = NetworkPath(chain.start(options.datapath))
            client = stack.enter_context(EdgeClient(bundle, [first], window=options.window))
            benches[name] = Bench(client, samples, right)
            chains[name] = chain
        for _ in range(options.rounds):
            for bench in benches.values():
                bench.run(options.requests)
        for name, chain in chains.items():
            benches[name].measured.pipeline = chain.pipeline()
            benches[name].measured.cloud = chain.served()
    return {name: bench.measured for name, bench in benches.items()}


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datapath", choices=["none", "reference", "rtl"], default="none")
    parser.add_argument("--result", choices=list(RESULTS), default="small", help="of the slice")
    parser.add_argument("--window", type=int, default=8, help="requests under way at most")
    parser.add_argument("--requests", type=int, default=400, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lose", type=float, default=1.0, help="percent, each hop and way")
    parser.add_argument("--swap", type=float, default=5.0, help="percent, each hop and way")
    parser.add_argument("--seed", type=int, default=5210)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    clean, disorder = found["clean"], found["disorder"]
    # Of two rounds that follow each other: what else the machine does changes between others.
    share = statistics.median(
        after / before for before, after in zip(clean.rates, disorder.rates, strict=True)
    )
    if options.json:
        facts = {name: measured.facts() for name, measured in found.items()}
        print(json.dumps({**vars(options), **facts, "share_of_clean_rate": share}))
    else:
        print(
            f"25-fragment tensors at {options.lose:g} % loss and {options.swap:g} % reordering: "
            f"{100 * share:.1f} % of the clean rate ({disorder.rate:.0f} of {clean.rate:.0f} a "
            f"second, window {options.window}, datapath {options.datapath}); "
            f"{disorder.counters['resent']} of {disorder.requests} requests were sent again, and "
            f"{disorder.counters['fragments_resent']} fragments, by {disorder.asked} asks; without "
            f"disorder {clean.counters['resent']}, {clean.counters['fragments_resent']} and "
            f"{clean.asked}"
        )
    return int(any(measured.wrong or measured.failed for measured in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
