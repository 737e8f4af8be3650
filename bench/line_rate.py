# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Others' frames at line rate while the slice is saturated, and ``docs/line-rate.md``.

``python -m bench.line_rate``: the NIC shell in Verilator, around a stand-in slice, with streams of
64 to 512 bits between two links that are full. Takes some minutes. The exit status is 1 if a frame
was lost, altered or kept waiting where the bus carries what the link does.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from midwire.hw.nic.bus import BETWEEN_FRAMES_BYTES
from tests.hw.nic.conftest import LARGE, Nic, Tools, program
from tests.hw.nic.line_rate import IMIX, Measured, measure
from tests.hw.nic.reading import Address, may_be_ours
from tests.hw.nic.stacks import NEXT_IP6, OWN_IP, OWN_IP6, OWN_PORT, stacks

ROOT = Path(__file__).resolve().parent.parent

LONGEST, SHORTEST = 9018, 60
SAMPLES = (1518, 2000, 4000, 6000, 8996, 9000, 9014, 9018)
OURS = Address.of(OWN_IP, OWN_PORT, OWN_IP6, NEXT_IP6)


@dataclass(frozen=True)
class Link:
    """A link in each direction: Gbit/s, bytes of a beat, and the clock in MHz."""

    gbit: int
    beat_bytes: int
    mhz: float

    @property
    def rate(self) -> int:
        """Hundredths of a byte a cycle, rounded up."""
        return -int(-self.gbit * 1e5 / 8 // self.mhz)

    def bus_share(self, length: int) -> float:
        """Of the link's rate, what the bus carries of frames of one length, 1 at most."""
        on_link = (length + BETWEEN_FRAMES_BYTES) / self.rate * 100
        return min(1.0, on_link / -(-length // self.beat_bytes))

    def __str__(self) -> str:
        return f"{self.gbit} Gbit/s | {8 * self.beat_bytes} bits, {self.mhz:.6g} MHz"


LINKS = (
    Link(10, 8, 156.25),
    Link(25, 16, 250),
    Link(50, 32, 250),
    Link(100, 64, 322.265625),
    Link(100, 64, 250),
)


@dataclass(frozen=True)
class Row:
    """What was measured of one kind of traffic on a link."""

    link: Link
    traffic: str
    found: Measured


@dataclass(frozen=True)
class Latency:
    """Cycles from a frame's first beat in to its first beat out, the least and the most.

    Attributes
    ----------
    others : of frames that cannot be ours by rule A4
    perhaps : of those that can, but are not
    """

    link: Link
    others: tuple[int, int]
    perhaps: tuple[int, int]


def traffics(link: Link, source: random.Random, times: int) -> dict[str, tuple[list[int], int]]:
    """Lengths of others' frames, and after how many of them a request of ours comes."""
    every = range(SHORTEST, 1515)
    carried = [n for n in every if link.bus_share(n) == 1]
    name = f"every length from {SHORTEST} to 1514"
    if len(carried) < len(every):
        name += ", but for those below"
    return {
        name: ([n for n in carried for _ in range(times)], 3),
        f"{len(SAMPLES)} lengths from 1518 to {LONGEST}": (
            [n for n in SAMPLES for _ in range(15 * times)],
            1,
        ),
        "mixed: 60, 590 and 1514, 7 to 4 to 1": (
            source.choices([n for n in IMIX if link.bus_share(n) == 1], k=1500 * times),
            5,
        ),
    }


def dip(nic: Nic, link: Link, source: random.Random, count: int) -> dict[int, float]:
    """Lengths of which the bus carries less than the link: the share that came through."""
    found = {}
    nic.wire(0)
    for length in range(SHORTEST, LONGEST + 1):
        if link.bus_share(length) == 1:
            continue
        frames = [source.randbytes(length) for _ in range(count)]
        for frame in frames:
            nic.queue(frame)
        out = nic.drain()
        assert [frame.data for frame in out] == frames
        cycles = out[-1].first - out[0].first
        found[length] = (count - 1) * (length + BETWEEN_FRAMES_BYTES) / (cycles * link.rate / 100)
    return found


def latency(nic: Nic, link: Link, source: random.Random) -> Latency:
    """One frame after the other, with headers of every kind and of every length."""
    nic.wire(0)
    datagram = source.randbytes(100)
    frames = [source.randbytes(n) for n in (*range(SHORTEST, 200), 1514, LONGEST)]
    frames += [stack.frame(datagram, dport=OWN_PORT + 1) for stack in stacks()]
    waited: dict[bool, list[int]] = {False: [], True: []}
    for frame in frames:
        nic.queue(frame)
        (out,), (entered,) = nic.drain(), nic.entered()
        assert out.data == frame
        waited[bool(may_be_ours(frame, OURS))].append(out.first - entered)
    others, perhaps = ((min(cycles), max(cycles)) for cycles in waited.values())
    return Latency(link, others, perhaps)


def runs(links: Sequence[Link], seed: int, times: int) -> tuple[list[Row], list[Latency], str]:
    """All that is measured: rows, latencies, and what is said of lengths that do not fit."""
    rows: list[Row] = []
    latencies: list[Latency] = []
    said: list[str] = []
    tools = Tools(seed)
    with tempfile.TemporaryDirectory() as folder:
        for beat_bytes, same in groupby(links, lambda link: link.beat_bytes):
            sizes = LARGE._replace(network_beat=beat_bytes)
            place = Path(folder) / str(beat_bytes)
            place.mkdir()
            built = program([sizes], place)
            for link in same:
                with contextlib.closing(Nic(built, sizes)) as nic:
                    if all(known.link.beat_bytes != beat_bytes for known in latencies):
                        latencies.append(latency(nic, link, tools.random))
                    if fewer := dip(nic, link, tools.random, 100 * times):
                        said.append(dip_text(link, fewer))
                for traffic, (lengths, every) in traffics(link, tools.random, times).items():
                    with contextlib.closing(Nic(built, sizes)) as nic:
                        found = measure(nic, tools, lengths, every, rate=link.rate)
                    rows.append(Row(link, traffic, found))
                    print(f"{link} | {traffic}: {found}", file=sys.stderr, flush=True)
    return rows, latencies, "".join(said)


def dip_text(link: Link, fewer: dict[int, float]) -> str:
    """A table of the lengths of which the bus carries less than the link."""
    head = (
        f"At {link.mhz:.6g} MHz, a stream of {8 * link.beat_bytes} bits carries less than "
        f"{link.gbit} Gbit/s of frames of\n{min(fewer)} to {max(fewer)} bytes: each takes "
        f"{-(-min(fewer) // link.beat_bytes)} beats. Back to back, of the link's rate:\n\n"
    )
    lines = (
        "| bytes | " + " | ".join(map(str, fewer)) + " |\n",
        "| --- |" + " ---: |" * len(fewer) + "\n",
        "| share | " + " | ".join(f"{100 * share:.1f} %" for share in fewer.values()) + " |\n",
    )
    return head + "".join(lines)


def page(rows: Sequence[Row], latencies: Sequence[Latency], fewer: str) -> str:
    """The text of ``docs/line-rate.md``."""
    text = HEAD + "".join(
        f"| {row.link} | {row.traffic} | {row.found.frames} | {row.found.lost} "
        f"| {row.found.stalls} | {row.found.executed} | {row.found.declined} "
        f"| {row.found.overran} |\n"
        for row in rows
    )
    text += LATENCY + "".join(
        f"| {8 * row.link.beat_bytes} bits | {_range(row.others)} | {_range(row.perhaps)} "
        f"| {row.others[1] / row.link.mhz * 1e3:.0f} ns at {row.link.mhz:.6g} MHz |\n"
        for row in latencies
    )
    return text + FEWER + fewer


def _range(cycles: tuple[int, int]) -> str:
    least, most = cycles
    return str(least) if least == most else f"{least} to {most}"


HEAD = """# Line rate

Written by `python -m bench.line_rate`: the NIC shell in Verilator, around a stand-in slice with
tensors of 1500 bytes in and 1985 out, two frames each. Both links are full: a frame takes 24 bytes
more than it has (preamble, check sequence and gap), and what comes in is as much as can go out.
Lengths are without the check sequence.

Between others' frames come requests of ours, more than what others leave of the link has room for:
results have more bytes than requests, and go when nothing else does. So all request slots are
taken, and the slice always has work. *Lost* counts frames of others that did not leave bit for bit
and in order, *waited* the cycles in which the stream kept a beat waiting at the input. Of our
requests, *passed* are those of which fragments passed for want of room: more was to our address
than the pipeline looks at ([wide streams](nic.md#wide-streams)).

| link | stream | others' frames | number | lost | waited | executed | declined | passed |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""

LATENCY = """
## Latency

Cycles from a frame's first beat at the input to its first beat at the output, when no other frame
is leaving. *Others'* are frames that cannot be ours by their first 64 bytes, of every length; the
time is the longest of theirs. *Perhaps ours* are those that could be to our address by them, but go
to another port behind IPv4 options, IPv6 extension headers or two tags.

| stream | others' | perhaps ours | longest |
| --- | ---: | ---: | --- |
"""

FEWER = """
## What the bus does not carry

A beat a cycle carries every length at the link's rate, but for these.

"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print a line a run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-page", action="store_true", help="print figures; write no page")
    parser.add_argument("--seed", type=int, default=5210)
    parser.add_argument("--times", type=int, default=2, help="frames of each length")
    parser.add_argument(
        "--beat-bytes", nargs="+", type=int, help="of the streams; others are left out"
    )
    options = parser.parse_args(arguments)
    links = [
        link for link in LINKS if not options.beat_bytes or link.beat_bytes in options.beat_bytes
    ]
    rows, latencies, fewer = runs(links, options.seed, options.times)
    text = page(rows, latencies, fewer)
    if options.no_page or links != list(LINKS):
        print(text)
    else:
        (ROOT / "docs" / "line-rate.md").write_text(text, encoding="utf-8")
    return int(any(row.found.lost or row.found.stalls for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
