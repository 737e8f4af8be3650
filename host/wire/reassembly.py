# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Puts fragments together, in any order, in bounded space, and asks for those that do not come.

Rules, cited by tests as A1 to A7:

A1. A message is all tensors of one request at one slice cursor from one sender, of one message type
    and of the sizes that its headers announce; it comes out once, when every byte of every tensor
    has come in exactly one fragment. So the answers to two attempts, which differ in length where
    another hop executed, do not mix.
A2. A fragment that contradicts itself, what is already there, or the size that the model says, is
    dropped and counted; nothing is allocated before the size is known to be right.
A3. A fragment that has come before is dropped and counted as a duplicate, and does no harm.
A4. At most ``slots`` messages are under way; the oldest gives way to a new one and is counted.
A5. A message that is not whole after ``timeout`` seconds is dropped and counted.
A6. The sender of a message is asked (rule W8 of the wire format) for fragments that were overtaken
    (rules E1 and E2 of ``overtaken.py``), at once. By time it is asked when no new fragment has
    come for ``ask`` seconds, or for longer than it pauses (E3), again after twice and four times as
    long and so on, ``MAX_ASKS`` times in a row, but not before what was asked for can have come
    (E4); of a result, all that is ``RESULT_SOONER`` times as soon. Once the last fragment of each
    tensor has come, and the sender has no more to send, there are ``QUICK_ASKS`` before those,
    after a half, a quarter and so on. A new fragment begins all that anew, and so does one that has
    come before but is flagged as sent again: its sender is there, and waits.
A7. Each time ``MOST_GROUPS`` groups of 64 fragments are asked for at most, one message a group, the
    first that lack something. Of a tensor of which nothing has come, that is its first fragment:
    nobody has said how many it has. By time, what is in front of the last fragment that has come is
    asked for, and one behind it; for its sender may only be slow. All else is asked for if that
    brings no more than it asked for, if the last fragment is here, or if the sender flags what it
    sends as sent again, and so waits to be asked.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...hw.formats.wire import Header, MessageType
from .alarms import Alarms
from .collected import Collected, CollectedTensor
from .overtaken import Flows
from .udp import Address

ASK_SECONDS = 0.005
"""Without a new fragment, until its sender is asked for what is missing: more than a sender in
Python pauses between two trains (:data:`.outbox.PACE_SECONDS`)."""

RESULT_SOONER = 4
"""Fragments of a result are asked for so much sooner: a NIC sends them without a pause."""

MOST_GROUPS = 8
"""Asked for at once: what a sender's socket takes, and a receiver's holds."""

Sizes = Callable[[Header], Sequence[int] | None]
"""Bytes of each tensor that a header's model, cursor and type allow; None if nothing does."""


_Request = tuple[Address, bytes, int]
_Key = tuple[_Request, MessageType, int, tuple[int, ...]]


@dataclass
class Message:
    """All tensors of one request.

    Attributes
    ----------
    header : of the fragment that came last; but what a hop says of itself (declined, cycles) stays,
        whichever fragment said it
    source : who sent it
    tensors : bytes of each tensor, by tensor index, in the memory that they were put together in
    started : when its first fragment came, on the caller's clock
    """

    header: Header
    source: Address
    tensors: list[bytearray]
    started: float


class Ask(NamedTuple):
    """A message ``MISSING``, and to whom it is to be sent."""

    to: Address
    request_id: int
    datagram: bytes


class Reassembler:
    """Bounded reassembly of fragments.

    Parameters
    ----------
    sizes : says what a header may announce
    slots : messages under way at most
    timeout : seconds that a message may take
    ask : seconds without a new fragment until its sender is asked; 0: never
    """

    def __init__(
        self, sizes: Sizes, *, slots: int = 64, timeout: float = 5.0, ask: float = ASK_SECONDS
    ) -> None:
        self._sizes = sizes
        self._slots = slots
        self._timeout = timeout
        self._ask = ask
        self._under_way: dict[_Key, Collected] = {}
        self._flows: Flows[_Key] = Flows()
        self._overtaken: dict[_Key, float] = {}  # of which something was, since when
        self._of_request: dict[_Request, list[_Key]] = {}
        self._alarms: Alarms[_Key] = Alarms()
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._under_way)

    def add(
        self, header: Header, payload: memoryview, source: Address, now: float
    ) -> Message | None:
        """Take one fragment; returns the message that it completes, if any."""
        sizes = self._sizes(header)
        if sizes is None:
            self.counters["unknown_message"] += 1
            return None
        start, end = header.offset, header.offset + len(payload)
        index, count = header.fragment_index, header.fragment_count
        if (
            header.source_count != len(sizes)
            or header.tensor_index >= len(sizes)
            or header.total_bytes != sizes[header.tensor_index]
            or index >= count
            or count > max(1, header.total_bytes)
            or end > header.total_bytes
            or (start == end and header.total_bytes)
        ):
            self.counters["wrong_length"] += 1  # A2
            return None
        kind, model = header.message_type, header.model_hash
        key = ((source, model, header.request_id), kind, header.cursor, tuple(sizes))
        slot = self._under_way.get(key)
        if slot is None:
            if len(self._under_way) >= self._slots:  # A4: insertion order is age
                self._drop(next(iter(self._under_way)))
                self.counters["evicted"] += 1
            slot = self._open(key, now)
        tensor = slot.tensors[header.tensor_index]
        if tensor is None:
            tensor = CollectedTensor(header, bytearray(header.total_bytes))
            slot.tensors[header.tensor_index] = tensor
        if tensor.header.fragment_count != count:
            self.counters["contradiction"] += 1
            return None
        if index in tensor.pieces:
            self.counters["duplicate"] += 1  # A3
            if header.resend:
                self._progress(key, slot, header, now)
            return None
        tensor.data[start:end] = payload  # the only copy on the way in
        if header.declined or header.telemetry:
            slot.telling = header
        tensor.pieces[index] = (start, end)
        slot.came(header.tensor_index, index, now)
        if self._ask:
            self._overtakes(key, slot, now)
        if not all(part is not None and part.whole() for part in slot.tensors):
            self._progress(key, slot, header, now)
            return None
        slot.ended()
        self._drop(key)
        parts = [part for part in slot.tensors if part is not None]
        if not all(part.sound() for part in parts):
            self.counters["contradiction"] += 1
            return None
        header = slot.telling or header
        return Message(header, source, [part.data for part in parts], slot.started)

    def discard(self, source: Address, model_hash: bytes, request_id: int) -> None:
        """Forget what has come of a request, at whichever cursor."""
        for key in list(self._of_request.get((source, model_hash, request_id), ())):
            self._drop(key)

    def remind(self, source: Address, model_hash: bytes, request_id: int, now: float) -> bool:
        """Whoever waits for an answer asks for it: ask for what lacks of the request, if anything
        has come of it, and whatever it was asked for before. Whether it has."""
        keys = self._of_request.get((source, model_hash, request_id), ())
        for key in keys:
            if self._ask:
                self._alarms.set(key, now)
        return bool(keys)

    @property
    def due(self) -> float | None:
        """When there is something to do (:meth:`ask`, :meth:`expire`); None if nothing waits."""
        oldest = next(iter(self._under_way.values()), None)  # insertion order is age
        times = [] if oldest is None else [oldest.started + self._timeout]
        times += self._overtaken.values()
        if self._alarms.due is not None:
            times.append(self._alarms.due)
        return min(times, default=None)

    def ask(self, came_by: float, now: float) -> list[Ask]:
        """What is to be sent now, so that what is missing comes (A6).

        All that had come by ``came_by`` must have been added: else what seems to be missing may
        only wait to be read.
        """
        found: list[Ask] = []
        for key in self._overtaken:
            found += self._asks(key, self._under_way[key].ask_for_overtaken(now))
        for key in self._alarms.rung(came_by):
            found += self._asks(key, self._under_way[key].ask_by_time(now))
        self._overtaken.clear()
        self.counters["asked"] += len(found)
        return found

    def _asks(self, key: _Key, gaps: Iterable[bytes]) -> list[Ask]:
        """Messages that ask, not too many (A7)."""
        self._set_alarm(key)
        source, _, request_id = key[0]
        some = itertools.islice(gaps, MOST_GROUPS)
        return [Ask(to=source, request_id=request_id, datagram=gap) for gap in some]

    def expire(self, now: float) -> None:
        """Drop what has taken too long (A5)."""
        while self._under_way:
            key, slot = next(iter(self._under_way.items()))  # insertion order is age
            if now - slot.started < self._timeout:
                return
            self._drop(key)
            self.counters["timed_out"] += 1

    def _open(self, key: _Key, now: float) -> Collected:
        (source, model, _), kind, cursor, sizes = key
        flow = self._flows.get((source, model, kind, cursor))
        result = kind == MessageType.TENSOR and cursor > 0
        ask = self._ask / RESULT_SOONER if result else self._ask
        slot = self._under_way[key] = Collected(now, sizes, flow, ask)
        flow.under_way[key] = slot.overtaking
        self._of_request.setdefault(key[0], []).append(key)
        return slot

    def _progress(self, key: _Key, slot: Collected, header: Header, now: float) -> None:
        """Its sender is there: ask it if nothing follows (A6)."""
        slot.begin_pause(now, resend=header.resend)
        self._set_alarm(key)

    def _set_alarm(self, key: _Key) -> None:
        at = self._under_way[key].next_ask()
        if at is not None and self._ask:
            self._alarms.set(key, at)

    def _overtakes(self, key: _Key, slot: Collected, now: float) -> None:
        """A new fragment came: what it has overtaken is asked for at the next chance (A6)."""
        if key not in self._overtaken and slot.is_overtaken():
            self._overtaken.setdefault(key, now)
        for earlier in slot.flow.overtaken_by(key):
            if self._under_way[earlier].is_overtaken():
                self._overtaken.setdefault(earlier, now)

    def _drop(self, key: _Key) -> None:
        slot = self._under_way.pop(key)
        del slot.flow.under_way[key]
        self._overtaken.pop(key, None)
        self._alarms.discard(key)
        siblings = self._of_request[key[0]]
        siblings.remove(key)
        if not siblings:
            del self._of_request[key[0]]
