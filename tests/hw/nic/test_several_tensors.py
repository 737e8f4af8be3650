# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC of a slice with several inputs or outputs sends every tensor on, declined (W6, D1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from midwire.hw.elaborate import verilog_of
from midwire.hw.formats import csr
from midwire.hw.formats.wire import DeclineReason
from midwire.hw.nic.shape import NicShape
from midwire.hw.nic.top import NicShell

from .conftest import Nic, Tools, frame


@pytest.mark.parametrize("count", [1, 2])
def test_every_tensor_is_declined(count: int, several: Nic, tools: Tools) -> None:
    """All tensors of a request, in whatever order; and a request of one tensor, as any would be."""
    request = tools.request(several.sizes, source_count=count)
    parts = [request.with_header(tensor_index=index) for index in reversed(range(count))]
    frames = [data for part in parts for data in part.frames()]
    several.pauses(30, 30, tools.random.getrandbits(32))
    for sent, got in zip(frames, several.send(*frames), strict=True):
        tools.check_declined(sent, got, DeclineReason.WRONG_TENSOR)
    counts = several.check_counters()
    assert counts["declined_wrong_tensor"] == counts["frames_in"] == count
    assert counts["requests"] == counts["results"] == counts["evicted"] == counts["collected"] == 0


def test_every_fragment_is_declined(several: Nic, tools: Tools) -> None:
    whole = tools.request(several.sizes, source_count=2, tensor_index=1)
    large = replace(whole, tensor=tools.random.randbytes(4000))
    frames = large.frames()
    assert len(frames) == 3
    for sent, got in zip(frames, several.send(*frames), strict=True):
        tools.check_declined(sent, got, DeclineReason.WRONG_TENSOR)


def test_what_comes_first_in_d1_is_the_reason(several: Nic, tools: Tools) -> None:
    """A tensor of another model is not called wrong for this one."""
    for change, reason in (
        ({"model_hash": bytes(8)}, DeclineReason.WRONG_MODEL),
        ({"tenant": 1}, DeclineReason.WRONG_TENANT),
        ({"may_execute": False}, DeclineReason.WRONG_TENSOR),
        ({"deadline_us": 0}, DeclineReason.WRONG_TENSOR),
    ):
        (sent,) = tools.request(several.sizes, **change).frames()
        tools.check_declined(sent, several.send(sent)[0], reason)


def test_everything_else_passes(several: Nic, tools: Tools) -> None:
    other = frame(tools.random.randbytes(300), to="10.9.9.9")
    assert several.send(other) == [other]
    assert several.read("status") == 0


def test_registers_say_what_the_slice_has(several: Nic) -> None:
    """No request slots, two inputs, three outputs; sizes are left to the manifest."""
    assert several.read("capability") == 0x03_02_00_08
    assert (several.read("input_bytes"), several.read("output_bytes")) == (0, 0)
    assert csr.ADDRESS["capability"] == 0xC


@pytest.mark.parametrize("count", [0, 256])
def test_numbers_of_tensors_that_the_header_cannot_count(count: int) -> None:
    with pytest.raises(ValueError, match=rf"1 to 255 inputs and outputs, not 1 and {count}"):
        NicShell(1, 1, 1, 1, outputs=count)


def test_the_slice_is_not_in_it() -> None:
    (verilog,) = verilog_of([NicShape(1, 1, 1, 1, inputs=2)])
    assert "mw_slice" not in verilog
