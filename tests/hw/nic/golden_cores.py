# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several cores as a model in Python: a :class:`.golden.Golden` each, and who gets a frame: D8, D9.

All that they do is in the same lists, counters and steering table.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from midwire.hw.formats import wire
from midwire.hw.formats.csr import FrameOutcome

from .golden import Fields, Golden, fields_of
from .reading import Elsewhere

SHARED = (
    "others", "passed", "sent_on", "results", "given_up", "asked", "outcomes", "events", "hits",
    "table", "written",
)  # fmt: skip


class GoldenCore(NamedTuple):
    """What one core has: its registers, tensors and slice, as of :class:`.golden.Golden`."""

    model: Fields
    inputs: Sequence[int]
    outputs: Sequence[int]
    execute: Callable[[list[bytes]], list[bytes]]


class GoldenCores:
    """As :class:`.golden.Golden`, whose attributes it has; ``registers`` are those of the NIC."""

    def __init__(self, registers: Fields, cores: Sequence[GoldenCore]) -> None:
        self.registers = dict(registers)
        self.cores = []
        for number, core in enumerate(cores):
            golden = Golden({}, core.inputs, core.outputs, core.execute, (number, len(cores)))
            golden.registers = ChainMap(self.registers, dict(core.model))
            self.cores.append(golden)
            for name in SHARED:
                setattr(golden, name, getattr(self.cores[0], name))
        first = self.cores[0]
        self.others, self.passed, self.sent_on = first.others, first.passed, first.sent_on
        self.results, self.given_up, self.asked = first.results, first.given_up, first.asked
        self.outcomes, self.events, self.hits = first.outcomes, first.events, first.hits
        self.written, self.commit = first.written, first.commit

    @property
    def now(self) -> int:
        return self.registers["time_us"]

    def frame(self, frame: bytes, bad: bool = False) -> FrameOutcome:
        return self.cores[self.core_of(frame)].frame(frame, bad)

    def core_of(self, frame: bytes) -> int:
        """The core that decides on a frame; the first one where it is nobody's."""
        try:
            datagram = self.cores[0]._to_us(frame).datagram(frame)
        except Elsewhere:
            return 0
        if len(datagram) < wire.HEADER_BYTES:
            return 0
        return self.core_for(fields_of(datagram))

    def core_for(self, header: Fields) -> int:
        """Rules D8 and D9."""
        names = (("tenant",), ("model_hash",), ("cursor", "slice_count"), ("epoch",))

        def agreement(core: Golden) -> int:
            for level, wanted in enumerate(names):
                if any(header[name] != core.registers[name] for name in wanted):
                    return level
            return len(names)

        agreements = [agreement(core) for core in self.cores]
        closest = [k for k, found in enumerate(agreements) if found == max(agreements)]
        folded = 0
        for byte in header["request_id"].to_bytes(8):
            folded ^= byte
        return closest[int(f"{folded:08b}"[::-1], 2) * len(closest) >> 8]

    def settle(self) -> None:
        for core in self.cores:
            core.settle()

    def wait(self, microseconds: int) -> None:
        self.registers["time_us"] = (self.now + microseconds) % (1 << 32)
        for core in self.cores:
            core.wait(0)

    def disable(self) -> None:
        for core in self.cores:
            core.disable()

    def crowded(self) -> bool:
        return any(core.crowded() for core in self.cores)

    def lacking_since(self) -> list[int]:
        return [latest for core in self.cores for latest in core.lacking_since()]

    def open_places(self) -> list[tuple[int, int]]:
        return [place for core in self.cores for place in core.open_places()]
