# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Execute or decline: the answer to one fragment that is ours, and the request slot behind it.

Rules, cited by tests as D0 to D5:

D0. A result of an earlier hop that is not for our tenant, model and cursor (or number of slices) is
    nothing that we were asked for: it is forwarded. Its header tells what was executed, and keeps
    telling it.
D1. A fragment is declined for the first of these that applies: encrypted, wrong tenant, model,
    cursor (or number of slices), weight epoch, tensor (only tensor 0 of 1; none at all for a slice
    of several tensors), policy bit ``may_execute`` not set, no time left, total not the bytes of
    the slice's input.
D2. There is one slot. Fragment 0 opens it when it is free, or anew when it is the same request's;
    while another request has it, the fragment is declined as busy.
D3. A later fragment is taken when it is the next of the request in the slot; otherwise it is
    declined, as busy where another request has the slot and as out of order else. A gap gives the
    request up: it can no longer be completed.
D4. A request without a new fragment for ``timeout`` cycles is given up, as is any when the NIC is
    disabled. What was collected of it is gone; its sender's retry starts at fragment 0.
D5. A full slot stays closed until its tensor went into the slice.

A request is named by its id and its sender's address and port.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..formats.wire import DeclineReason
from . import header as hdr
from .bus import CONFIG, LENGTH_BITS, ORIGIN


class Decider(wiring.Component):
    """Rules D0 to D5.

    Parameters
    ----------
    tensor_bytes : of the slice's input; None for a slice of several tensors, which is never
        executed here: a request's tensors would have to be joined first

    Members
    -------
    origin : In(ORIGIN), size : In(LENGTH_BITS), the fragment asked about
    config : In(CONFIG)
    forward : Out(1), we are not asked; reason is 0 then
    reason : Out(8), 0 to take it
    accept : In(1), the fragment is taken or declined now; the slot changes with that
    offset : Out(32), where in the tensor the fragment belongs
    stored : In(1), all bytes of the fragment that was taken last are in memory
    request : Out(ORIGIN), of fragment 0 of the request in the slot
    full : Out(1), the whole tensor is in memory
    release : In(1), opens a full slot
    collecting : Out(1), fragments are missing
    evicted : Out(1), a request is given up in this cycle
    """

    def __init__(self, tensor_bytes: int | None) -> None:
        self._tensor_bytes = tensor_bytes
        super().__init__(
            {
                "origin": In(ORIGIN),
                "size": In(LENGTH_BITS),
                "config": In(CONFIG),
                "forward": Out(1),
                "reason": Out(8),
                "accept": In(1),
                "offset": Out(32),
                "stored": In(1),
                "request": Out(ORIGIN),
                "full": Out(1),
                "release": In(1),
                "collecting": Out(1),
                "evicted": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        header, config = self.origin.header, self.config

        def field(name: str) -> Value:
            return hdr.get(header, name)

        index, count = field("fragment_index"), field("fragment_count")
        wanted_index, wanted_count = Signal(16), Signal(16)
        wanted_offset = Signal(32)
        age = Signal(32)
        is_last, same, next_one = Signal(), Signal(), Signal()
        mine = self.request
        m.d.comb += [
            self.offset.eq(field("offset")),
            same.eq(
                (hdr.get(mine.header, "request_id") == field("request_id"))
                & (mine.src_ip == self.origin.src_ip)
                & (mine.src_port == self.origin.src_port)
            ),
            next_one.eq(
                (index == wanted_index)
                & (count == wanted_count)
                & (field("offset") == wanted_offset)
            ),
        ]
        slot_reason = Signal(8)
        taken = Signal()
        m.d.comb += taken.eq(self.accept & ~self.forward & (self.reason == DeclineReason.NONE))
        with m.If(taken):
            m.d.sync += [
                wanted_index.eq(index + 1),
                wanted_count.eq(count),
                wanted_offset.eq(field("offset") + self.size),
                is_last.eq(field("last")),
            ]
            with m.If(index == 0):
                m.d.sync += self.request.eq(self.origin)

        with m.FSM(name="slot"):
            with m.State("free"):
                m.d.comb += slot_reason.eq(
                    Mux(index == 0, DeclineReason.NONE, DeclineReason.INCOMPLETE)
                )
                with m.If(taken):
                    m.next = "storing"
            with m.State("storing"), m.If(self.stored):
                m.d.sync += age.eq(0)
                m.next = "waiting"
                with m.If(is_last):
                    m.next = "full"
            with m.State("waiting"):
                m.d.comb += self.collecting.eq(1)
                m.d.sync += age.eq(age + 1)
                with m.If(~same):
                    m.d.comb += slot_reason.eq(DeclineReason.BUSY)
                with m.Elif((index != 0) & ~next_one):
                    m.d.comb += slot_reason.eq(DeclineReason.INCOMPLETE)
                with m.If(taken):
                    m.d.comb += self.evicted.eq(index == 0)
                    m.next = "storing"
                with m.Elif(
                    (self.accept & same & (index > wanted_index))
                    | ((config.timeout_us != 0) & (age >= config.timeout_us))
                    | ~config.control
                ):
                    m.d.comb += self.evicted.eq(1)
                    m.next = "free"
            with m.State("full"):
                m.d.comb += [self.full.eq(1), slot_reason.eq(DeclineReason.BUSY)]
                with m.If(self.release):
                    m.next = "free"

        model_hash = Cat(config.model_hash_low, config.model_hash_high)
        wrong_tensor = (field("tensor_index") != 0) | (field("source_count") != 1)
        if self._tensor_bytes is None:
            wrong_tensor = Const(1)
        wrong_tenant = field("tenant") != config.tenant
        wrong_model = field("model_hash") != model_hash
        wrong_cursor = (field("cursor") != config.cursor) | (
            field("slice_count") != config.slice_count
        )
        rules = (
            (field("encrypted"), DeclineReason.ENCRYPTED),
            (wrong_tenant, DeclineReason.WRONG_TENANT),
            (wrong_model, DeclineReason.WRONG_MODEL),
            (wrong_cursor, DeclineReason.WRONG_CURSOR),
            (field("epoch") != config.epoch, DeclineReason.WRONG_EPOCH),
            (wrong_tensor, DeclineReason.WRONG_TENSOR),
            (~field("may_execute"), DeclineReason.POLICY),
            (field("deadline_us") == 0, DeclineReason.DEADLINE),
            (field("total_bytes") != (self._tensor_bytes or 0), DeclineReason.BAD_LENGTH),
        )
        m.d.comb += self.reason.eq(slot_reason)
        for condition, reason in reversed(rules):
            with m.If(condition):
                m.d.comb += self.reason.eq(reason)
        with m.If(field("result") & (wrong_tenant | wrong_model | wrong_cursor)):
            m.d.comb += [self.forward.eq(1), self.reason.eq(DeclineReason.NONE)]
        return m
