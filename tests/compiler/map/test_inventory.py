# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What components come to by their netlists, against what Yosys 0.70 counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midwire.compiler.map import inventory as module
from midwire.compiler.map.inventory import Instance, inventory
from midwire.compiler.map.targets import TARGETS
from midwire.hw.elaborate import netlists_of
from midwire.hw.netlist import counter

from .test_price import COUNTED, Counts

ECP5_COUNTED: dict[str, Counts] = {
    "fifo 4 x 16": (37, 54, 13, 0, 0),
    "fifo 4 x 100": (153, 0, 55, 0, 1),
    "fifo 8 x 1000": (200, 0, 96, 0, 4),
    "lanes 1 to 8": (41, 0, 69, 0, 0),
    "lanes 6 to 4": (92, 150, 105, 0, 0),
    "dense 16 to 16, 4 bits": (2716, 366, 941, 0, 0),
    "dense 12 to 12, sparse": (917, 312, 512, 0, 0),
    "conv 1 x 1 lanes": (415, 18, 321, 3, 3),
    "conv 4 x 4 lanes": (1014, 54, 997, 24, 5),
    "conv 8 x 8 lanes": (5241, 102, 3092, 80, 2),
    "pointwise 4 x 2 lanes": (857, 54, 766, 12, 1),
    "depthwise 1 lane": (501, 18, 312, 2, 1),
    "depthwise 4 lanes": (642, 54, 626, 8, 1),
    "scale 1 lane": (72, 18, 92, 1, 0),
    "scale 4 lanes": (106, 54, 166, 4, 0),
    "add 2 lanes": (154, 30, 160, 4, 0),
    "a tree": (419, 12, 102, 0, 0),
    "a forest": (1705, 36, 494, 0, 0),
    "maxpool 4 lanes": (222, 54, 208, 0, 1),
}
"""As :data:`.test_price.COUNTED`, for ecp5."""


def found(name: str, target: str) -> dict[str, int]:
    built, images = COUNTED[name][0]()
    (modules,) = netlists_of([built])
    return inventory([Instance("dut", each, images) for each in modules.values()], TARGETS[target])


def check(name: str, target: str, counts: Counts) -> None:
    """Memories and multipliers exactly, flip-flops within a tenth, and LUTs within a quarter (or
    90): ABC takes more of them where a design is so small that all of it is the longest path.
    """
    lut, lutram, ff, dsp, bram = counts
    own = found(name, target)
    assert (own["lutram"], own["dsp"], own["bram"]) == (lutram, dsp, bram)
    assert abs(own["ff"] - ff) <= 0.1 * ff, own
    assert abs(own["lut"] - lut) <= max(lut / 4, 90), own


@pytest.mark.parametrize("name", ECP5_COUNTED)
def test_on_ecp5(name: str) -> None:
    check(name, "ecp5", ECP5_COUNTED[name])


@pytest.mark.parametrize("name", COUNTED)
def test_on_xcup(name: str) -> None:
    check(name, "xcup", COUNTED[name][1])


def test_equal_instances_are_counted_each() -> None:
    built, images = COUNTED["fifo 4 x 100"][0]()
    ((netlist,),) = (modules.values() for modules in netlists_of([built]))
    target = TARGETS["ecp5"]
    one = inventory([Instance("a", netlist, images)], target)
    two = inventory([Instance(name, netlist, images) for name in "ab"], target)
    assert two == {kind: 2 * count for kind, count in one.items()}


def test_what_decides_a_count_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is named by the netlist, the family and the contents that are in logic.
    Those of block memories change nothing: weights are mostly there.
    """
    name = "conv 1 x 1 lanes"
    built, images = COUNTED[name][0]()
    (modules,) = netlists_of([built])
    asked: list[bytes] = []

    def note(question: bytes, answer: Callable[[], bytes]) -> bytes:
        asked.append(question)
        return answer()

    monkeypatch.setattr(counter, "remembered", note)
    monkeypatch.setattr(module, "counted", lambda netlists, _: counter.count_once(netlists))

    def count(target: str, **changed: str) -> tuple[dict[str, int], set[bytes]]:
        texts = {**images, **{f"dut_{part}.hex": text for part, text in changed.items()}}
        parts = [Instance("dut", each, texts) for each in modules.values()]
        del asked[:]
        return inventory(parts, TARGETS[target]), set(asked)

    def other(part: str) -> dict[str, str]:
        return {part: "\n".join("0" * len(word) for word in images[f"dut_{part}.hex"].split())}

    plain = count("xcup")
    assert plain[0] == found(name, "xcup")
    assert count("xcup", **other("weights")) == plain
    flat = count("xcup", **other("finish"))
    assert flat[0]["ff"] < plain[0]["ff"]
    assert flat[1] != plain[1]
    assert not count("ecp5")[1] & plain[1]


def test_of_nothing() -> None:
    assert set(inventory([], TARGETS["xc7"]).values()) == {0}
