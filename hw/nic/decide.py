# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Execute or decline: the answer to each fragment that is ours, and the request slots behind it.

Rules, cited by tests as D0 to D7 (D8 and D9, of several slices, are those of :mod:`.cores`):

D0. A result of an earlier hop that is not for our tenant, model and cursor (or number of slices) is
    nothing that we were asked for: it is forwarded. Its header tells what was executed, and keeps
    telling it.
D1. A fragment is declined for the first of these that applies: encrypted, wrong tenant, model,
    cursor (or number of slices), weight epoch, tensor (not one of the slice's inputs, or of another
    number of them), policy bit ``may_execute`` not set, no time left, total not the bytes of that
    input.
D2. There are several slots (:func:`midwire.hw.formats.slots.slots_of`), each for one request, which
    is named by its id and its sender's address and port. A fragment of a request that has none is
    treated as was decided before (D6); if nothing was, it is dropped for bad length if there can be
    no such fragment (more of them than the tensor's bytes allow, or not the last and not at its
    number times its bytes). Otherwise it opens a slot, if one is free and its sender holds none, or
    less than 4 times those that are free but for one. If not, it is declined as busy.
D3. A fragment for a slot that is collecting is dropped for bad length if there can be no such
    fragment, or if it contradicts those before it: another number of fragments, another size (of
    all but the last), or a last one that does not begin where the others end. It is dropped as a
    duplicate if it is here, and collected otherwise. When all are here the request is whole: it
    waits for the slice, or goes into it, and what comes of it is a duplicate. Requests are executed
    in the order in which they became whole.
D4. While a request lacks fragments, its sender is asked for them (W8) ``ask_us`` after the last new
    one, after twice as long, and so on: at most 7 times; and twice before those, after a quarter
    and a half of it, if the last fragment is here. It is given up ``timeout_us`` after the last new
    one, 8 times ``ask_us`` after it if anybody was declined for want of a slot since one
    became free, and at once when the NIC is disabled, or when weights are swapped, whole or not (X4
    of :mod:`.weights`); 0 is never for both. All of it that is here
    is then sent on, declined as incomplete, with the header of the fragment that opened the slot;
    what of it comes later is declined as incomplete too. (The reference in C++ also asks at once
    for what was overtaken, rule E1 of ``host/wire/overtaken.py``; here, time alone asks.)
D5. The slot of a whole request is free again when its tensor has gone into the slice, that of one
    that was given up when all of it was sent on. Its memory is zero then.
D6. What was decided on a request without a slot is remembered by a fingerprint for ``timeout_us``
    (0: for ever), in one of 256 places: declined as busy or as incomplete, as all its later
    fragments are; or executed, so that what comes later is dropped as a duplicate, unless it is
    flagged ``resend``: that may open a slot anew. Two requests in slots never share a fingerprint:
    the second is declined as busy, whatever was decided before, and whatever the table says of it.
D7. A request of several tensors is named by its id alone, as they may come from different senders.
    Each tensor is cut by itself (D3) and belongs to whoever sent the fragment of it that came
    first: what others send of it is declined as wrong tensor while the request has a slot. The
    request is whole when all its tensors are. What lacks is asked for of whoever sends the first
    tensor that has begun and lacks something; nobody is asked (an ask that counts) where none has.
    The asks that come early begin when the last fragment of each tensor is here. What is given up
    is sent on tensor by tensor, with the header of the fragment that came first of each, to the
    next hop that this one had. A slot counts for the sender of the fragment that opened it. The
    result leaves in the name of whoever sent tensor 0, to the next hop of that tensor.

The steering table (T1 to T7 of :mod:`.entries`) is looked at for each fragment, too, while its
request is looked for: it says where what leaves goes, and what is not executed.

A decision takes 10 to 18 cycles: more where many slots are used, or the table has many entries. It
begins when the frame's origin is there, before its verdict (:mod:`.parser`): what has no effect is
done before that, and if it says that the frame is not ours, what was looked up is forgotten. While
one frame moves, the next one is decided, so what is decided is a frame or two ahead of what is
stored.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import FrameOutcome
from ..formats.wire import DeclineReason
from .bus import (
    CONFIG,
    FRAME,
    HOP,
    MODEL,
    ORIGIN,
    VERDICT_DROP,
    VERDICT_OURS,
    VERDICT_SEND,
)
from .deep_fifo import QuickFifo, WideFifo
from .entries import SAID, STEERED
from .joined_requests import JoinedRequests
from .known_requests import KnownRequests
from .refuse import refused
from .room import LATE, Room, chore, decided, released


class Decider(wiring.Component):
    """Rules D0 to D4, D6 and D7, for one frame after the other.

    One state machine owns all that is known of requests. Between two frames it visits the slots,
    one after the other, for what D4 asks of them.

    Parameters
    ----------
    room : of the slots

    Members
    -------
    i : In(stream of FRAME); comes : In(1), its origin is there, and its verdict will be
    o : Out(stream of :func:`.room.decided`), each taken when its frame is gone; origin, next hop,
        reason and outcome are there from the second cycle on
    config : In(CONFIG); model : In(MODEL); now : In(32), microseconds
    busy : Out(1)
    steered : In(STEERED), what the steering table says of ``i``
    begins : Out(1), a tensor begins in part ``begun``, with the frame of ``origin``; what comes of
        it goes to the next hop ``hop``
    release : In(stream of :func:`.room.released`)
    chore : Out(stream of :func:`.room.chore`), for a slot of which all fragments are stored; to
        ask only while ``may_ask``
    here_address : In, of a word; here : Out, which fragments are here, of the cycle before
    clear : In(1), zero that word; cleared : Out(1), it is done
    collecting : Out(1), some request lacks fragments
    evicted : Out(1), one was given up in the cycle before
    bank, halts, swaps : In(1), between, outdated : Out(1), for :mod:`.weights`: which bank is read;
        nothing is to begin; the other one is read from the next cycle on; nothing is being decided;
        some slot is of the model before

    Where requests have several tensors:

    part : In, of a slot; cut : Out(room.cut), how its tensor is cut, of the cycle before
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        members: dict[str, Any] = {
            "i": In(stream.Signature(FRAME)),
            "comes": In(1),
            "o": Out(stream.Signature(decided(room))),
            "config": In(CONFIG),
            "model": In(MODEL),
            "now": In(32),
            "busy": Out(1),
            "steered": In(STEERED),
            "begins": Out(1),
            "begun": Out(room.part),
            "origin": Out(ORIGIN),
            "hop": Out(HOP),
            "release": In(stream.Signature(released(room))),
            "chore": Out(stream.Signature(chore(room))),
            "may_ask": In(1),
            "here_address": In(room.here),
            "here": Out(room.here_bits),
            "clear": In(1),
            "cleared": Out(1),
            "collecting": Out(1),
            "evicted": Out(1),
            "bank": In(1),
            "halts": In(1),
            "swaps": In(1),
            "between": Out(1),
            "outdated": Out(1),
        }
        if room.several:
            members |= {"part": In(room.part), "cut": Out(room.cut)}
        super().__init__(members)

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        self.handed = Signal()  # the frame's fate was handed on in the cycle before
        self.leaves = Signal()  # since when it waits until the one before is gone
        self.time = Signal(32)
        # Of the cycle before; what is handed on begins nothing for two cycles.
        self.halted, has_room = Signal(), Signal()
        frame = self.i.payload
        self._ahead = self._keep(m)
        self._fate = fate = self._ahead.i
        header = frame.origin.header
        not_asked, declines, why_not = refused(m, header, self.model, self._room)
        self.table = steered = Signal(SAID)  # of the cycle before: the table is far away
        m.d.sync += [steered[name].eq(self.steered[name]) for name in SAID.members]
        m.d.comb += self.busy.eq(self.comes | self.o.valid)
        ours = frame.verdict == VERDICT_OURS
        self.others, self.judged, self.next_frame = Signal(), Signal(), Signal()
        judged_before = Signal()  # what is reckoned with its bytes is there a cycle later
        others = Signal()
        m.d.sync += [
            judged_before.eq(self.i.valid),
            others.eq(self.i.valid & ~ours & ~self.leaves),
            self.handed.eq(0),
            self.time.eq(self.now),
            self.halted.eq(self.halts),
            has_room.eq(fate.ready & ~self.halts),
        ]
        m.d.comb += [
            self.others.eq(others & ~self.leaves),
            self.judged.eq(judged_before & self.i.valid & ours),
            self.next_frame.eq(self.comes & ~others & has_room & ~self.leaves),
        ]
        known = JoinedRequests if self._room.several else KnownRequests
        requests = known(m, self, self._room)
        with m.FSM(name="decision", init="wipe") as fsm:
            with m.State("idle"):
                with m.If(self.others & fate.ready):
                    self.hand_on(m)
                requests.idle()
            with m.State("header"):
                requests.header()
                m.next = "steer"
                with m.If(~not_asked & ~declines):
                    m.next = "look"
                self.unless_others(m)
            with m.State("steer"):
                with m.If(steered.done):
                    m.next = "refuse"
                self.unless_others(m)
            with m.State("refuse"):
                here = Mux(steered.forward, DeclineReason.NONE, why_not)
                asked = Mux(steered.policy, DeclineReason.POLICY, here)
                self.send_on(m, Mux(not_asked, DeclineReason.NONE, asked))
                m.next = "idle"
            with m.State("wipe"):
                requests.wipe()
            requests.states()
        requests.choose()
        m.d.comb += self.between.eq(fsm.ongoing("idle") & requests.rests)
        return m

    def _keep(self, m: Module) -> QuickFifo:
        """What is decided, until its frame is gone: what it is done by for two frames, and all
        else, of a thousand bits, for the first of them. The second one stays where it is until
        there is room. Returns the FIFO of the former.
        """
        frame, fate = FRAME.members, decided(self._room).members
        later = {"frame", "origin", "hop", *LATE.members}
        of_frame = {name: width for name, width in frame.items() if name not in later}
        own = {name: width for name, width in fate.items() if name not in later}
        m.submodules.ahead = ahead = QuickFifo(data.StructLayout(own | of_frame))
        m.submodules.origin_ahead = origin = WideFifo(
            data.StructLayout({"origin": ORIGIN, "hop": HOP, **LATE.members})
        )
        self._late, late = Signal(LATE), Signal(LATE)  # chosen in one cycle, kept in the next
        with m.If(~self.leaves):
            m.d.sync += late.eq(self._late)
        o = self.o.payload
        m.d.comb += [
            origin.i.valid.eq(self.leaves),
            self.i.ready.eq(self.leaves & origin.i.ready),
            origin.i.payload.origin.eq(self.i.payload.origin),
            origin.i.payload.hop.eq(self.steered.hop),
            o.frame.origin.eq(origin.o.payload.origin),
            o.hop.eq(origin.o.payload.hop),
            self._late.outcome.eq(self.i.payload.outcome),
            *(origin.i.payload[name].eq(late[name]) for name in LATE.members),
            o.reason.eq(origin.o.payload.reason),
            o.frame.outcome.eq(origin.o.payload.outcome),
            self.o.valid.eq(ahead.o.valid),
            ahead.o.ready.eq(self.o.ready),
            origin.o.ready.eq(self.o.ready),
            *(ahead.i.payload[name].eq(self.i.payload[name]) for name in of_frame),
            *(o.frame[name].eq(ahead.o.payload[name]) for name in of_frame),
            *(o[name].eq(ahead.o.payload[name]) for name in own),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.leaves.eq(0)
        return ahead

    def unless_others(self, m: Module) -> None:
        """At the end of a state in which the verdict may come: no more if the frame is not ours."""
        with m.If(self.others):
            self.hand_on(m)
            m.next = "idle"

    def hand_on(self, m: Module) -> None:
        """The frame's fate is decided; there is room for it. The frame is taken a cycle later: what
        that leads to is far away. The state that is next is to be idle."""
        m.d.comb += self._fate.valid.eq(1)
        m.d.sync += [self.handed.eq(1), self.leaves.eq(1)]

    def send_on(self, m: Module, reason: Any) -> None:
        m.d.comb += [
            self._fate.payload.verdict.eq(VERDICT_SEND),
            self._late.reason.eq(reason),
        ]
        self.hand_on(m)

    def drop(self, m: Module, outcome: FrameOutcome) -> None:
        m.d.comb += [
            self._fate.payload.verdict.eq(VERDICT_DROP),
            self._late.outcome.eq(outcome),
        ]
        self.hand_on(m)

    def place(self, m: Module, slot: Value, address: Value, whole: Value) -> None:
        """Where the frame's fragment goes, if it is collected."""
        m.d.comb += [
            self._fate.payload.slot.eq(slot),
            self._fate.payload.address.eq(address),
            self._fate.payload.whole.eq(whole),
        ]

    def under_way(self) -> Value:
        """Decided frames that had not left before this cycle."""
        return self._ahead.level
