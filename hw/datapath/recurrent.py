# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What recurrent components share: steps and passes, products and sums, and the hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..kernels.finishing import finish_file
from ..kernels.folded_recurrent import LATE, FoldedRecurrent, image
from .arithmetic import delayed, product_shape
from .counters import counter, position
from .finished import FinishedOutlet
from .ranges import shape_for, shape_of
from .rom import Rom
from .stream import beats

_Built = TypeVar("_Built", bound=FoldedRecurrent)


@dataclass(frozen=True)
class Issue:
    """A product that is begun in this cycle.

    Attributes
    ----------
    valid : whether there is one
    place : in its pass
    ends : whether it is the last of its pass
    row : that it reads, of two
    bank : of the state that it reads
    first : whether that is the state before the first step
    """

    valid: Value
    place: Value
    ends: Value
    row: Value
    bank: Value
    first: Value


@dataclass(frozen=True)
class Serving:
    """The unit whose sums come out of the shared part in the next cycle: memories are asked now.

    Attributes
    ----------
    valid : whether there is one
    unit : which one
    bank : of the state that its sums are of
    first : whether its step is the first
    ends : whether it is the last unit
    done : whether its step ends with this half (Y5)
    last : whether its step is the last of a sequence
    """

    valid: Value
    unit: Value
    bank: Value
    first: Value
    ends: Value
    done: Value
    last: Value


@dataclass(frozen=True)
class _Outlet:
    """The end of an output.

    Attributes
    ----------
    end : finisher and FIFO
    last : whether the last state of a sequence alone leaves
    """

    end: Any
    last: bool


class RecurrentLayer(wiring.Component, Generic[_Built]):
    """Rules Y1 to Y6 of :mod:`midwire.hw.kernels.recurrent`.

    Parameters
    ----------
    built : what to build
    name : prefix of the memory images' names

    Members
    -------
    i : In(beats of one element ``x``)
    i_hidden, i_cell : In(beats of one element of a first state), those that are given
    o : Out(beats of one element ``out``)
    o1 : Out(beats of one element of the cell's state), if that is a result too
    """

    def __init__(self, built: _Built, name: str) -> None:
        self._built = built
        self._name = name
        self._state = shape_of(built.state)
        types = [built.x, *(each.type for each in built.given)]
        inputs = {
            name: In(beats(shape_for(kind), 1))
            for name, kind in zip(built.input_names, types, strict=True)
        }
        outputs = {
            name: Out(beats(shape_for(unit.out), 1))
            for name, unit in zip(built.output_names, built.finishers, strict=True)
        }
        super().__init__({**inputs, **outputs})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        b = self._built
        outlets = self._outlets(m)
        m.submodules.hidden = hidden = Memory(shape=self._state, depth=2 * b.units, init=[])
        m.submodules.rows = rows = Memory(shape=shape_for(b.x), depth=2 * b.width, init=[])

        issue = self._issue(m, outlets, rows)
        operand, over_h = self._operand(m, hidden, rows, issue)
        sums = self._sums(m, operand, over_h, issue)
        load = delayed(m, issue.ends, 3, "load")
        serving = self._serving(m, load)
        held = self._held(m, sums, load, serving)
        old = self._old(m, hidden, serving)
        states = self._cell(m, self._biased(m, held, serving), old, serving)

        # Sums come out a cycle after a unit is served.
        made, unit, bank = (
            delayed(m, value, 1 + b.arithmetic, f"made_{k}")
            for k, value in enumerate((serving.valid, serving.unit, serving.bank))
        )
        port = hidden.write_port()
        m.d.comb += [
            port.en.eq(made),
            port.addr.eq(Mux(bank, 0, b.units) + unit),
            port.data.eq(states[0]),
        ]
        self._leave(m, outlets, states, serving)
        return m

    def _outlets(self, m: Any) -> list[_Outlet]:
        """One a state that is a result."""
        b = self._built
        found: list[_Outlet] = []
        for k, (unit, depth) in enumerate(zip(b.finishers, b.outlets, strict=True)):
            end = FinishedOutlet(unit, finish_file(self._name, k), depth)
            m.submodules[f"outlet{k or ''}"] = end
            wiring.connect(m, end.o, wiring.flipped(getattr(self, b.output_names[k])))
            found.append(_Outlet(end, b.last or k > 0))
        return found

    def _leave(
        self, m: Any, outlets: Sequence[_Outlet], states: Sequence[Value], serving: Serving
    ) -> None:
        """States go to the outlets, each when it is made."""
        b = self._built
        ended = serving.valid & serving.ends & serving.done & serving.last
        final = ended & counter(m, "sequence", b.sequences, ended)
        for k, (outlet, state, late) in enumerate(zip(outlets, states, b.made, strict=True)):
            done = serving.valid & serving.done
            leaves = done & serving.last if outlet.last else done
            m.d.comb += [
                outlet.end.acc0[0].eq(state),
                outlet.end.valid.eq(delayed(m, leaves, 1 + late, f"leaves_{k}")),
                outlet.end.final.eq(delayed(m, final, 1 + late, f"final_{k}")),
            ]

    def _issue(self, m: Any, outlets: Sequence[_Outlet], rows: Memory) -> Issue:
        """Begin products, pass by pass and step by step (T13)."""
        b = self._built
        go, ends, half_ends, step_ends = Signal(), Signal(), Signal(), Signal()
        row, bank = Signal(), Signal()
        begins = Signal(init=1)
        place, step, rest = (
            Signal(range(b.depth)),
            Signal(range(b.steps)),
            Signal(range(b.drain + 1)),
        )
        full = Signal(2)
        self._fill(m, rows, full, row, step_ends)
        m.d.comb += ends.eq(go & (place == b.depth - 1))
        m.d.comb += half_ends.eq(ends & counter(m, "pass", b.passes, ends))
        done = counter(m, "half", b.halves, half_ends)
        m.d.comb += step_ends.eq(half_ends & done)
        last = step == b.steps - 1
        loaded = self._loaded(m, step_ends & (step == 0))
        with m.If(go):
            m.d.sync += [place.eq(Mux(ends, 0, place + 1)), begins.eq(step_ends)]
        with m.If(half_ends):
            m.d.sync += [bank.eq(~bank), rest.eq(b.drain)]
        with m.Elif(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        with m.If(step_ends):
            m.d.sync += [step.eq(Mux(last, 0, step + 1)), row.eq(~row)]
        there = (full.bit_select(row, 1) & (loaded | (step != 0))) | ~begins
        free: Value = Const(1)
        for outlet in outlets:
            credit = (place < b.parallel) & done & (last if outlet.last else Const(1))
            free = free & (outlet.end.free | ~credit)
            m.d.comb += outlet.end.take.eq(go & credit)
        m.d.comb += go.eq((rest == 0) & there & free)
        # What the second half reads, the first one has written.
        first = (step == 0) & (~done if b.halves == 2 else Const(1))
        return Issue(go, place, ends, row, bank, first)

    def _loaded(self, m: Any, over: Value) -> Value:
        """Write first states that are streams (Y6); whether they are there. ``over`` says that a
        first step ends.
        """
        b = self._built
        there: Value = Const(1)
        for each in b.given:
            word = each.state
            port = getattr(self, f"i_{word}")
            m.submodules[f"first_{word}"] = memory = Memory(
                shape=shape_for(each.type), depth=b.units, init=[]
            )
            full, rest = Signal(name=f"{word}_full"), Signal(range(LATE + 1), name=f"{word}_rest")
            write = Signal(name=f"{word}_write")
            at = position(m, f"{word}_at", b.units, write)
            into = memory.write_port()
            m.d.comb += [
                port.ready.eq(~full & (rest == 0)),
                write.eq(port.valid & port.ready),
                into.en.eq(write),
                into.addr.eq(at),
                into.data.eq(port.payload.data[0]),
            ]
            with m.If(write & (at == b.units - 1)):
                m.d.sync += full.eq(1)
            with m.If(over):
                m.d.sync += [full.eq(0), rest.eq(LATE)]
            with m.Elif(rest != 0):
                m.d.sync += rest.eq(rest - 1)
            there = there & full
        return there

    def _fill(self, m: Any, rows: Memory, full: Signal, row: Signal, step_ends: Signal) -> None:
        """Write the rows in turn (Y2)."""
        b = self._built
        filling, write = Signal(), Signal()
        at = Signal(range(2 * b.width))
        m.d.comb += [
            self.i.ready.eq(~full.bit_select(filling, 1)),
            write.eq(self.i.valid & self.i.ready),
        ]
        row_ends = counter(m, "row", b.width, write)
        with m.If(write):
            m.d.sync += at.eq(Mux(at == 2 * b.width - 1, 0, at + 1))
        with m.If(write & row_ends):
            m.d.sync += [full.bit_select(filling, 1).eq(1), filling.eq(~filling)]
        with m.If(step_ends):
            m.d.sync += full.bit_select(row, 1).eq(0)
        port = rows.write_port()
        m.d.comb += [port.en.eq(write), port.addr.eq(at), port.data.eq(self.i.payload.data[0])]

    def _operand(self, m: Any, hidden: Memory, rows: Memory, issue: Issue) -> tuple[Value, Value]:
        """What all lanes multiply, and whether it is of the state; a cycle after its issue."""
        b = self._built
        row, old = rows.read_port(), hidden.read_port()
        unit = Signal(range(b.units), name="operand_unit")
        over_h = Signal()
        m.d.comb += [
            unit.eq(issue.place - b.width),
            row.addr.eq(Mux(issue.row, b.width, 0) + issue.place),
            old.addr.eq(Mux(issue.bank, b.units, 0) + unit),
        ]
        m.d.sync += over_h.eq(issue.place >= b.width)
        before = self._first(m, "operand", "hidden", self._state, unit)
        state = Mux(delayed(m, issue.first, 1, "operand_first"), before, old.data)
        (low, high), x = b.state, b.x
        operand = Signal(shape_of((min(low, x.lo), max(high, x.hi))))
        m.d.comb += operand.eq(Mux(over_h, state, row.data))
        return operand, over_h

    def _first(self, m: Any, part: str, word: str, shape: Shape, unit: Value) -> Value:
        """A state before the first step, a cycle after its unit."""
        b = self._built
        if word in (each.state for each in b.given):
            port = m.submodules[f"first_{word}"].read_port()
            m.d.comb += port.addr.eq(unit)
            return port.data
        if word not in b.begins:
            return Const(0)
        return self._memory(m, f"{part}_{word}", word, shape, b.units, unit)

    def _memory(self, m: Any, part: str, word: str, shape: Shape, depth: int, addr: Value) -> Value:
        """A memory of numbers, a cycle after the address."""
        m.submodules[part] = rom = Rom(shape.width, depth, image(self._name, word))
        m.d.comb += rom.addr.eq(addr)
        return rom.data.as_signed() if shape.signed else rom.data

    def _sums(self, m: Any, operand: Value, over_h: Value, issue: Issue) -> list[list[Value]]:
        """For each unit of a pass its sums, three cycles after the last product (Y1)."""
        b = self._built
        words = b.passes * b.depth
        m.submodules.weights = rom = Rom(b.word_bits, words, image(self._name, "weights"))
        at = Signal(range(words))
        with m.If(issue.valid):
            m.d.sync += at.eq(Mux(at == words - 1, 0, at + 1))
        m.d.comb += rom.addr.eq(at)
        late_h = delayed(m, over_h, 1, "late_h")
        adds, starts, turns = (
            delayed(m, flag, 2, name)
            for flag, name in (
                (issue.valid, "adds"),
                (issue.place == 0, "starts"),
                (issue.place == b.width, "turns"),
            )
        )
        found: list[list[Value]] = []
        for k in range(b.parallel):
            own: list[Value] = []
            for index, lane in enumerate(b.lanes):
                low = (k * len(b.lanes) + index) * b.weight.bits
                word = rom.data[low : low + b.weight.bits]
                factor = word.as_signed() if b.weight.signed else word
                product = Signal(product_shape(factor, operand), name=f"product_{k}_{index}")
                m.d.sync += product.eq(factor * operand)
                of_x, of_h = (
                    Cat(Const(0, left), product).as_signed() for left in (lane.x_left, lane.h_left)
                )
                parts = [(adds, starts, Mux(late_h, of_h, of_x))]
                if not lane.joined:
                    parts = [(adds & ~late_h, starts, of_x), (adds & late_h, turns, of_h)]
                for counts, begins, term in parts:
                    total = Signal(shape_of(b.sums[len(own)]), name=f"sum_{k}_{len(own)}")
                    with m.If(counts):
                        m.d.sync += total.eq(Mux(begins, 0, total) + term)
                    own.append(total)
            found.append(own)
        return found

    def _serving(self, m: Any, load: Value) -> Serving:
        """The units of a pass in turn, from the cycle on in which its sums are there."""
        b = self._built
        valid, bank = Signal(), Signal()
        left, unit, step = Signal(range(b.parallel)), Signal(range(b.units)), Signal(range(b.steps))
        m.d.comb += valid.eq(load | (left != 0))
        with m.If(load):
            m.d.sync += left.eq(b.parallel - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        ends, last = unit == b.units - 1, step == b.steps - 1
        with m.If(valid):
            m.d.sync += unit.eq(Mux(ends, 0, unit + 1))
        done = counter(m, "served_half", b.halves, valid & ends)
        with m.If(valid & ends):
            m.d.sync += bank.eq(~bank)
            with m.If(done):
                m.d.sync += step.eq(Mux(last, 0, step + 1))
        return Serving(valid, unit, bank, step == 0, ends, done, last)

    def _held(
        self, m: Any, sums: Sequence[Sequence[Value]], load: Value, serving: Serving
    ) -> list[Value]:
        """The sums of a pass move on, a unit a cycle; those of the unit in front."""
        held = [
            [Signal(each.shape(), name=f"held_{k}_{j}") for j, each in enumerate(own)]
            for k, own in enumerate(sums)
        ]
        with m.If(load):
            for mine, own in zip(held, sums, strict=True):
                m.d.sync += [a.eq(b) for a, b in zip(mine, own, strict=True)]
        with m.Elif(serving.valid):
            for mine, following in pairwise(held):
                m.d.sync += [a.eq(b) for a, b in zip(mine, following, strict=True)]
        return list(held[0])

    def _old(self, m: Any, hidden: Memory, serving: Serving) -> Value:
        """The unit's state before this step, when its sums come out. Both halves of a step read it
        where the first one does.
        """
        if not self._reads_old:
            return Const(0)
        port = hidden.read_port()
        bank = serving.bank if self._built.halves == 1 else Const(0)
        m.d.comb += port.addr.eq(Mux(bank, self._built.units, 0) + serving.unit)
        before = self._first(m, "serving", "hidden", self._state, serving.unit)
        return Mux(delayed(m, serving.first, 1, "serving_first"), before, port.data)

    def _biased(self, m: Any, held: Sequence[Value], serving: Serving) -> list[Value]:
        """Sums with their biases, a cycle after they come out."""
        b = self._built
        bits = b.bias_bits
        m.submodules.bias = rom = Rom(bits * len(held), b.units, image(self._name, "bias"))
        m.d.comb += rom.addr.eq(serving.unit)
        found: list[Value] = []
        for k, (own, ends) in enumerate(zip(held, b.totals, strict=True)):
            total = Signal(shape_of(ends), name=f"total_{k}")
            m.d.sync += total.eq(own + rom.data[k * bits : (k + 1) * bits].as_signed())
            found.append(total)
        return found

    _reads_old = False
    """Whether the cell reads its old hidden state."""

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> tuple[Value, ...]:
        """The new states, the hidden one first: each ``made - 1`` cycles after sums with their
        biases.
        """
        raise NotImplementedError

    def _looked_up(self, m: Any, part: str, table: str, value: Value, drop: int) -> Value:
        """An entry of a table, which has a letter, two cycles later (N12)."""
        b = self._built
        half = b.grid.reach
        place = Signal(range(2 * half), name=f"{part}_place")
        rounded = shifted(value, drop)
        with m.If(rounded >= half - 1):
            m.d.sync += place.eq(2 * half - 1)
        with m.Elif(rounded <= -half):
            m.d.sync += place.eq(0)
        with m.Else():
            m.d.sync += place.eq(rounded + half)
        shape = Shape(b.gate_bits, True)
        return self._memory(m, f"{part}_table", table, shape, 2 * half, place)


def shifted(value: Value, bits: int) -> Value:
    """``rne(value / 2**bits)`` (N12)."""
    if bits == 0:
        return value
    signed = value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()
    odd = signed[bits] if bits < len(signed) else signed[-1]
    return (signed + ((1 << (bits - 1)) - 1) + odd) >> bits
