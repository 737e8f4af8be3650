# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent, for as long as somebody may ask for fragments of them.

Rules, cited by tests as M1 to M3:

M1. Who asks (rule W8 of the wire format) gets exactly the fragments that it asks for, as they were,
    of those that there are.
M2. Between two attempts of the sender, ``ASKED_TIMES`` times as many fragments as the message has,
    and a group more, are sent because somebody asks, whoever that is and however often. What goes
    beyond is not answered.
M3. Of the messages that are kept for it, the oldest give way: ``MOST_MESSAGES`` there are at most,
    of ``MOST_BYTES`` in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...hw.formats.fragments import DEFAULT_MTU, fragment_count
from ...hw.formats.wire import ElementType, Header
from . import message, missing
from .message import MAX_REPLY_BYTES
from .tensors import Buffer
from .udp import Address, Datagram

ASKED_TIMES = 2
"""Where every other fragment is lost, each is sent twice on average."""

MOST_MESSAGES = 1024
MOST_BYTES = 2 * MAX_REPLY_BYTES


@dataclass
class SentMessage:
    """A message whose fragments can be sent again.

    Attributes
    ----------
    header : what all fragments share, as of the latest attempt
    tensors : the bytes of each, in pieces
    mtu : of IP on the way
    types : of the tensors' elements; without them the header's stays
    sent : when it was last sent as a whole, on the caller's clock
    """

    header: Header
    tensors: Sequence[Sequence[Buffer]]
    mtu: int = DEFAULT_MTU
    types: Sequence[ElementType] = ()
    sent: float = 0.0
    _allowance: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes = sum(self._sizes())
        self._counts = [fragment_count(size, self.mtu) for size in self._sizes()]
        self.refill()

    def refill(self) -> None:
        """Begin another attempt: what was sent because somebody asked no longer counts (M2)."""
        self._allowance = ASKED_TIMES * sum(self._counts) + missing.GROUP

    def whole(self) -> Iterator[Datagram]:
        """All fragments."""
        return message.datagrams(self.header, self.tensors, self.mtu, self.types)

    def first(self) -> Iterator[Datagram]:
        """The first fragment of each tensor: who has nothing of it asks for the others."""
        return self._only({index: [0] for index in range(len(self.tensors))})

    def asked(self, ask: Header, bitmap: Buffer) -> list[Datagram]:
        """The fragments that a message ``MISSING`` asks for; none if that is too much (M2)."""
        tensor = ask.tensor_index
        if tensor >= len(self._counts):
            return []
        indices = [i for i in missing.wanted(ask, bitmap) if i < self._counts[tensor]]
        if len(indices) > self._allowance:
            return []
        self._allowance -= len(indices)
        return list(self._only({tensor: indices}))

    def _only(self, chosen: dict[int, list[int]]) -> Iterator[Datagram]:
        return message.datagrams(self.header, self.tensors, self.mtu, self.types, chosen)

    def _sizes(self) -> list[int]:
        return [sum(map(len, pieces)) for pieces in self.tensors]


MessageKey = tuple[Address, bytes, int]
"""Whom it was sent to, model hash and request id."""


class KeptMessages:
    """The latest messages that were sent (M3)."""

    def __init__(self, messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._messages = messages
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: dict[MessageKey, SentMessage] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: MessageKey) -> SentMessage | None:
        """The message, if it is still here."""
        return self._kept.get(key)

    def keep(self, key: MessageKey, sent: SentMessage) -> None:
        """Keep a message; older ones give way."""
        self._drop(key)
        self._kept[key] = sent
        self._bytes += sent.bytes
        while len(self._kept) > self._messages or self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))  # insertion order is age

    def _drop(self, key: MessageKey) -> None:
        sent = self._kept.pop(key, None)
        if sent is not None:
            self._bytes -= sent.bytes
