# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the header of a fragment alone says: rules D0 and D1 of :mod:`.decide`."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from ..formats.wire import DeclineReason
from . import header as hdr
from .room import Room

_OF_OTHERS = {
    DeclineReason.WRONG_TENANT,
    DeclineReason.WRONG_MODEL,
    DeclineReason.WRONG_CURSOR,
}
"""An earlier hop's result with one of these is not for us."""


def refused(m: Module, header: Any, model: Any, room: Room) -> tuple[Signal, Signal, Signal]:
    """Whether we are not asked (D0), and whether we would decline (D1), both of the header that was
    there a cycle before; and why we would, of that of two cycles before."""

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
    apply, result = Signal(len(rules)), Signal()
    forward, declines, reason = Signal(), Signal(), Signal(8)
    m.d.sync += [
        apply.eq(Cat(condition for condition, _ in rules)),
        result.eq(field("result")),
        reason.eq(DeclineReason.NONE),
    ]
    for applies, (_, why) in reversed(list(zip(apply, rules, strict=True))):
        with m.If(applies):
            m.d.sync += reason.eq(why)
    others = Cat(apply[at] for at, (_, why) in enumerate(rules) if why in _OF_OTHERS)
    m.d.comb += [declines.eq(apply.any()), forward.eq(result & others.any())]
    return forward, declines, reason
