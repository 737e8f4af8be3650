# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that a bundle brings."""

from __future__ import annotations

from midwire.compiler.emit.readme import readme
from midwire.hw.formats.bundle import Manifest, WritableMemory
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType

SHAPE = (1, 3, 2, 2)
TWICE = "[1, 3, 2, 2] | [1, 3, 2, 2]"


def manifest(name: str) -> Manifest:
    wide = TensorSpec(name, SHAPE, "float32", QType(12, True, 0.5), Layout.channels_last(SHAPE), 3)
    narrow = TensorSpec("y", (1, 4), "float32", QType(5, False, 0.25, 3), Layout.raster((1, 4)), 2)
    return Manifest(
        name=name,
        model_sha256="0" * 64,
        inputs=(wide,),
        outputs=(narrow,),
        steps=(),
        slice={},
        target="xcup",
        clock_mhz=250.0,
        cycles_per_inference=1000,
        latency_cycles=1234,
        resources={"lut": 7},
        sqnr="",
        sqnr_db=None,
        memories=(WritableMemory("conv", "some_w.hex", 19, 6, "0" * 64),),
        prefix="some",
    )


def test_it_has_the_ports_and_the_order() -> None:
    text = readme(manifest("x"))
    for line in (
        "| cycles per inference | 1000 exactly, without pauses: 250000 a second |",
        "| latency | 1234 cycles, from the first beat in to the last beat out |",
        '| `s0_axis_tdata` | 48 | in | tensor `"x"`, 3 elements a beat |',
        '| `m0_axis_tdata` | 16 | out | tensor `"y"`, 2 elements a beat |',
        "| `w0_axis_tdata` | 24 | in | 6 words of 19 bits for `some_w.hex`, one a beat |",
        "| `weight_bank` | 1 | in | the bank that is read; `w*_axis` write the other one |",
        f"| `s0_axis` | signed, 12 bits | 16 bits | 0.5 | 0 | {TWICE} | [0, 2, 3, 1] | 4 |",
        "| `m0_axis` | unsigned, 5 bits | 8 bits | 0.25 | 3 | [1, 4] | [1, 4] | [0, 1] | 2 |",
    ):
        assert line in text.splitlines()
    assert "{" not in text


def test_names_are_no_markdown() -> None:
    """Nor end a row of a table."""
    text = readme(manifest("a`|\n# b"))
    assert text.isascii() and "\n# b" not in text
    assert '`"a\\u0060\\u007c\\n# b"`' in text
