# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of another model: loaded while requests are executed, swapped between two of them.

The slice's writable memories have two banks. Registers write the one that is not read; a commit
makes the slice read it. Rules, cited by tests as X1 to X5:

X1. Writing ``weights_port`` begins with that side port anew, and leaves what was not loaded whole.
    ``weights_data`` takes its words one after the other, each as whole 32-bit parts, the low one
    first; bytes beyond a beat are left out. Behind the last word, without such a port, or between a
    commit and its swap, it answers SLVERR.
X2. ``weights_commit`` answers SLVERR unless all side ports have had all their words since the last
    swap. It takes over ``weights_model_hash_*`` and ``weights_epoch``, and is answered at once: the
    swap may have to wait for results that leave. What is written to those later is for another one.
X3. From the commit on, once no slot is of the model before the one in force, no request begins.
    When the slice is empty, and no decision is under way, all of this changes in one cycle: the
    bank that is read, ``model_hash_*``, ``epoch``. Frames that are decided on from then on are
    judged by those, and the ones before by what was. Nothing waits but requests, and frames to our
    address for one decision.
X4. A request belongs to the model in force when its first fragment was decided on. What is here of
    one that has not begun at the swap is given up, whole or not, as D4 says, but at once and
    declined as wrong model, or as wrong epoch where the hash is the same. Fragments of the new
    model never join it: they are declined as busy while it is here.
X5. A reset ends what is being loaded, and changes no weights: the bank that is read stays that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import WIDTH
from .shape import SideWords

if TYPE_CHECKING:
    from .decide import Decider
    from .executor import Executor

PART_BITS = WIDTH["weights_data"]

SWAPPED = ("model_hash_high", "model_hash_low", "epoch")
"""Registers that change with the weights; what they will be is in registers ``weights_*``."""

IDENTITY = data.StructLayout({name: WIDTH[name] for name in SWAPPED})
"""Which weights they are."""

TOLD = ("weights_words", "weights_beat_bytes", "weights_status")
"""Registers that tell of them."""

WEIGHTS = wiring.Signature(
    {
        "parts": Out(stream.Signature(PART_BITS)),
        "begin": Out(1),
        "takes": In(1),
        "commit": Out(1),
        "complete": In(1),
        "swaps": In(1),
        "model": In(IDENTITY),
        **{name: In(WIDTH[name]) for name in TOLD},
    }
)
"""What registers say to what loads and swaps the weights of a slice, and it to them: ``parts``, or
``begin`` anew until they are ready; ``takes``, there may be a part; ``commit``, only if all is
``complete``; ``swaps``, and from the next cycle on it is ``model``; and the registers that tell."""


def words_of(side: SideWords) -> stream.Signature:
    """The stream into a side port."""
    return stream.Signature(data.StructLayout({"data": 8 * side.beat_bytes, "last": 1}))


class Loader(wiring.Component):
    """Parts of 32 bits in, words of one side port after the other out (X1).

    Parameters
    ----------
    sides : of the slice, at least one

    Members
    -------
    port : In, the side port; begin : In(1), anew, with this one, until ``i`` is ready
    i : In(stream of parts), only while ``takes`` : Out(1), parts are expected
    locked : In(1), nothing is taken
    o0, o1, ... : Out(stream of words)
    complete : Out(1), all side ports have had all words; forget : In(1), none has
    words, beat_bytes : Out, of ``port``; 0 if there is none
    """

    def __init__(self, sides: Sequence[SideWords]) -> None:
        self._sides = tuple(sides)
        super().__init__(
            {
                "port": In(WIDTH["weights_port"]),
                "begin": In(1),
                "i": In(stream.Signature(PART_BITS)),
                "takes": Out(1),
                "locked": In(1),
                **{f"o{k}": Out(words_of(side)) for k, side in enumerate(sides)},
                "complete": Out(1),
                "forget": In(1),
                "words": Out(WIDTH["weights_words"]),
                "beat_bytes": Out(WIDTH["weights_beat_bytes"]),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        sides = self._sides
        parts = [-(-8 * side.beat_bytes // PART_BITS) for side in sides]
        # A word is in the last parts that came, so wherever it ends, it ends there.
        kept = Signal(max(parts) * PART_BITS)
        at = Signal(range(max(side.words for side in sides)))  # words before this one
        part = Signal(range(max(parts)))
        port = Signal(range(len(sides)))  # that was begun with
        chosen = Signal(range(len(sides)))
        exists, sends, ends, moves = Signal(), Signal(), Signal(), Signal()
        whole = Signal(len(sides))
        last_word = _chosen(port, [side.words - 1 for side in sides])
        last_part = _chosen(port, [count - 1 for count in parts])
        m.d.comb += [
            chosen.eq(self.port),
            self.takes.eq(exists & ~self.locked),
            self.complete.eq(whole.all()),
            moves.eq(Cat(self._of(k).valid & self._of(k).ready for k in range(len(sides))).any()),
        ]
        with m.If(self.port < len(sides)):
            m.d.comb += [
                self.words.eq(_chosen(chosen, [side.words for side in sides])),
                self.beat_bytes.eq(_chosen(chosen, [side.beat_bytes for side in sides])),
            ]
        for k in range(len(sides)):
            o = self._of(k)
            m.d.comb += [
                o.valid.eq(sends & (port == k)),
                o.payload.data.eq(kept[-parts[k] * PART_BITS :]),
                o.payload.last.eq(ends),
            ]
        with m.FSM(name="loader"):
            with m.State("rest"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        kept.eq(Cat(kept[PART_BITS:], self.i.payload)),
                        part.eq(part + 1),
                    ]
                    with m.If(part == last_part):
                        m.d.sync += [sends.eq(1), ends.eq(at == last_word), part.eq(0)]
                        m.next = "send"
                with m.If(self.begin):
                    # What has begun is ended: the memory's own address is 0 again.
                    m.d.sync += [sends.eq(at != 0), ends.eq(1), exists.eq(0)]
                    m.next = "begin"
            with m.State("send"), m.If(moves):
                m.d.sync += [sends.eq(0), at.eq(at + 1)]
                with m.If(ends):
                    m.d.sync += [whole.eq(whole | (Const(1) << port)), exists.eq(0), at.eq(0)]
                m.next = "rest"
            with m.State("begin"), m.If(~sends | moves):
                m.d.sync += [
                    sends.eq(0),
                    at.eq(0),
                    part.eq(0),
                    port.eq(chosen),
                    exists.eq(self.port < len(sides)),
                ]
                with m.If(self.port < len(sides)):
                    m.d.sync += whole.eq(whole & ~(Const(1) << chosen))
                m.next = "rest"
        with m.If(self.forget):
            m.d.sync += [whole.eq(0), exists.eq(0)]
        return m

    def _of(self, k: int) -> Any:
        return getattr(self, f"o{k}")


def _chosen(index: Signal, numbers: Sequence[int]) -> Any:
    bits = max(numbers).bit_length()
    return Array(Const(number, bits) for number in numbers)[index]


class Swapper(wiring.Component):
    """A commit, and when it comes true (X2, X3).

    Members
    -------
    commit : In(1), with ``given`` : In(IDENTITY)
    waits : Out(1), for its swap; no request begins
    empty : In(1), nothing is in the slice or on its way to it, and no slot of an older model
    halts : Out(1), the reader takes nothing, and the decider begins with nothing
    still : In(1), neither does anything, while they are halted
    swaps : Out(1), it is in this cycle; model : Out(IDENTITY), in force from the next one on
    bank : Out(1), which one is read
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "commit": In(1),
                "given": In(IDENTITY),
                "waits": Out(1),
                "empty": In(1),
                "halts": Out(1),
                "still": In(1),
                "swaps": Out(1),
                "model": Out(IDENTITY),
                "bank": Out(1),
            }
        )

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        bank = Signal(reset_less=True)  # X5
        turns = Signal()
        m.d.comb += [
            self.bank.eq(bank),
            self.halts.eq(turns | (self.waits & self.empty)),
            # The decision under way, if any, ends within some cycles: nothing here waits longer.
            self.swaps.eq(turns & self.still),
        ]
        with m.If(self.waits & self.empty):
            m.d.sync += turns.eq(1)
        with m.If(self.commit):
            m.d.sync += [self.waits.eq(1), self.model.eq(self.given)]
        with m.If(self.swaps):
            m.d.sync += [turns.eq(0), self.waits.eq(0), bank.eq(~bank)]
        return m


def add_weights(
    m: Module,
    sides: Sequence[SideWords],
    weights: Any,
    model: Any,
    decider: Decider,
    executor: Executor,
) -> None:
    """What loads and swaps the weights of a slice, if it has side ports, between its neighbours:
    ``weights`` is In(WEIGHTS), ``model`` In(MODEL).
    """
    if not sides:
        m.d.comb += weights.parts.ready.eq(1)
        return
    m.submodules.loader = loader = Loader(sides)
    m.submodules.swapper = swapper = Swapper()
    for k in range(len(sides)):
        wiring.connect(m, getattr(loader, f"o{k}"), getattr(executor, f"w{k}"))
    wiring.connect(m, wiring.flipped(weights.parts), loader.i)
    m.d.comb += [
        loader.port.eq(model.weights_port),
        loader.begin.eq(weights.begin),
        loader.locked.eq(swapper.waits),
        loader.forget.eq(swapper.swaps),
        swapper.commit.eq(weights.commit),
        *(swapper.given[name].eq(model[f"weights_{name}"]) for name in SWAPPED),
        swapper.empty.eq(executor.empty & ~decider.outdated),
        swapper.still.eq(executor.empty & decider.between),
        weights.takes.eq(loader.takes),
        weights.complete.eq(loader.complete & ~swapper.waits),
        weights.weights_words.eq(loader.words),
        weights.weights_beat_bytes.eq(loader.beat_bytes),
        weights.weights_status.eq(Cat(swapper.waits, swapper.bank, loader.complete)),
        weights.swaps.eq(swapper.swaps),
        weights.model.eq(swapper.model),
    ]
    for whose in (decider, executor):
        m.d.comb += [whose.bank.eq(swapper.bank), whose.halts.eq(swapper.halts)]
    m.d.comb += [
        # Requests of the model before must come to where they are turned away.
        executor.waits.eq(swapper.waits & ~decider.outdated),
        decider.swaps.eq(swapper.swaps),
    ]
