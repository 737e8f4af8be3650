# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Puts fragments together, in any order, in bounded space.

Rules, cited by tests as A1 to A5:

A1. A message is all tensors of one request at one slice cursor from one sender, of one message type
    and of the sizes that its headers announce; it comes out once, when every byte of every tensor
    has come in exactly one fragment. So the answers to two attempts, which differ in length where
    another hop executed, do not mix.
A2. A fragment that contradicts itself, what is already there, or the size that the model says, is
    dropped and counted; nothing is allocated before the size is known to be right.
A3. A fragment that has come before is dropped and counted as a duplicate, and does no harm.
A4. At most ``slots`` messages are under way; the oldest gives way to a new one and is counted.
A5. A message that is not whole after ``timeout`` seconds is dropped and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...hw.formats.wire import Header, MessageType
from .udp import Address

Sizes = Callable[[Header], Sequence[int] | None]
"""Bytes of each tensor that a header's model, cursor and type allow; None if nothing does."""


_Key = tuple[Address, MessageType, bytes, int, int, tuple[int, ...]]


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


@dataclass
class _Tensor:
    data: bytearray
    count: int
    pieces: dict[int, tuple[int, int]] = field(default_factory=dict)  # index: (offset, end)

    def whole(self) -> bool:
        return len(self.pieces) == self.count

    def sound(self) -> bool:
        """Whether the pieces lie edge to edge over the whole tensor."""
        at = 0
        for start, end in sorted(self.pieces.values()):
            if start != at:
                return False
            at = end
        return at == len(self.data)


@dataclass
class _Slot:
    started: float
    telling: Header | None
    tensors: list[_Tensor | None]


class Reassembler:
    """Bounded reassembly of fragments.

    Parameters
    ----------
    sizes : says what a header may announce
    slots : messages under way at most
    timeout : seconds that a message may take
    """

    def __init__(self, sizes: Sizes, *, slots: int = 64, timeout: float = 5.0) -> None:
        self._sizes = sizes
        self._slots = slots
        self._timeout = timeout
        self._under_way: dict[_Key, _Slot] = {}
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
        key = (source, kind, model, header.request_id, header.cursor, tuple(sizes))
        slot = self._under_way.get(key)
        if slot is None:
            if len(self._under_way) >= self._slots:  # A4: insertion order is age
                del self._under_way[next(iter(self._under_way))]
                self.counters["evicted"] += 1
            slot = self._under_way[key] = _Slot(now, None, [None] * len(sizes))
        tensor = slot.tensors[header.tensor_index]
        if tensor is None:
            tensor = _Tensor(bytearray(header.total_bytes), count)
            slot.tensors[header.tensor_index] = tensor
        if tensor.count != count:
            self.counters["contradiction"] += 1
            return None
        if index in tensor.pieces:
            self.counters["duplicate"] += 1  # A3
            return None
        tensor.data[start:end] = payload  # the only copy on the way in
        if header.declined or header.telemetry:
            slot.telling = header
        tensor.pieces[index] = (start, end)
        if not all(part is not None and part.whole() for part in slot.tensors):
            return None
        del self._under_way[key]
        parts = [part for part in slot.tensors if part is not None]
        if not all(part.sound() for part in parts):
            self.counters["contradiction"] += 1
            return None
        header = slot.telling or header
        return Message(header, source, [part.data for part in parts], slot.started)

    @property
    def due(self) -> float | None:
        """When :meth:`expire` has something to do; None if nothing is under way."""
        oldest = next(iter(self._under_way.values()), None)  # insertion order is age
        return None if oldest is None else oldest.started + self._timeout

    def expire(self, now: float) -> None:
        """Drop what has taken too long (A5)."""
        for key, slot in list(self._under_way.items()):
            if now - slot.started < self._timeout:
                break
            del self._under_way[key]
            self.counters["timed_out"] += 1
