# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the header of a fragment alone says: rules D0 and D1 of :mod:`.decide`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from ..formats.wire import DeclineReason
from . import header as hdr
from .room import Room


def refused(m: Module, header: Any, model: Any, room: Room) -> tuple[Signal, Signal]:
    """Whether we are not asked (D0), and why we would decline (D1): 0 if we would not."""

    def field(name: str) -> Any:
        return hdr.get(header, name)

    model_hash = Cat(model.model_hash_low, model.model_hash_high)
    tensors = len(room.tensors)
    wrong_tensor = (field("tensor_index") >= tensors) | (field("source_count") != tensors)
    tensor_bytes = room.of(field("tensor_index"), lambda part: part.bytes)
    wrong_tenant = field("tenant") != model.tenant
    wrong_model = field("model_hash") != model_hash
    wrong_cursor = (field("cursor") != model.cursor) | (field("slice_count") != model.slice_count)
    rules = (
        (field("encrypted"), DeclineReason.ENCRYPTED),
        (wrong_tenant, DeclineReason.WRONG_TENANT),
        (wrong_model, DeclineReason.WRONG_MODEL),
        (wrong_cursor, DeclineReason.WRONG_CURSOR),
        (field("epoch") != model.epoch, DeclineReason.WRONG_EPOCH),
        (wrong_tensor, DeclineReason.WRONG_TENSOR),
        (~field("may_execute"), DeclineReason.POLICY),
        (field("deadline_us") == 0, DeclineReason.DEADLINE),
        (field("total_bytes") != tensor_bytes, DeclineReason.BAD_LENGTH),
    )
    forward, reason = Signal(), Signal(8)
    for condition, why in reversed(rules):
        with m.If(condition):
            m.d.comb += reason.eq(why)
    with m.If(field("result") & (wrong_tenant | wrong_model | wrong_cursor)):
        m.d.comb += [forward.eq(1), reason.eq(DeclineReason.NONE)]
    return forward, reason
