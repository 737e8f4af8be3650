# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC as a model in Python: what becomes of each frame, byte for byte (docs/nic.md).

It has no cycles. Time is what :meth:`Golden.wait` says, and a request that is whole is executed
when :meth:`Golden.settle` is called, as the pipeline's is at the latest when nothing moves any
more. Where what happens between two such moments depends on cycles, the test must not ask.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field

import google_crc32c

from midwire.hw.formats import fragments, wire
from midwire.hw.formats.actions import ENTRIES, Action
from midwire.hw.formats.csr import FIRST_DECLINED, HITS, FrameOutcome
from midwire.hw.formats.slots import (
    DECISIONS,
    MAX_ASKS,
    QUICK_ASKS,
    request_fingerprint,
    slots_of,
)
from midwire.hw.formats.wire import DeclineReason, MessageType
from midwire.hw.nic.bus import MAX_FRAME_BYTES

from .reading import Address, Elsewhere, Unread, Where, read, sum16, udp_is_right, well_formed

GROUP = 64  # fragments that one message asks for
Fields = dict[str, int]


def fields_of(header: bytes) -> Fields:
    """All fields of a header as numbers, reserved ones too."""
    whole = int.from_bytes(header[: wire.HEADER_BYTES], "big")
    size = 8 * wire.HEADER_BYTES
    return {f.name: whole >> (size - f.offset - f.bits) & ((1 << f.bits) - 1) for f in wire.FIELDS}


def header_of(values: Fields) -> bytes:
    """The header of these fields, its CRC made anew."""
    whole = 0
    for f in wire.FIELDS:
        whole = whole << f.bits | (0 if f.name == "crc" else values[f.name])
    head = whole.to_bytes(wire.HEADER_BYTES, "big")
    return head[:-4] + google_crc32c.value(head).to_bytes(4, "big")


@dataclass(frozen=True)
class Origin:
    """What is kept of a frame."""

    src_mac: bytes
    tags: bytes
    ipv6: bool
    src_ip: bytes
    dst_ip: bytes
    src_port: int
    tos: int
    ttl: int
    came: int
    header: Fields
    joined: bool
    """Its request has several tensors."""

    @property
    def sender(self) -> tuple[bytes, int]:
        return self.src_ip, self.src_port

    @property
    def key(self) -> tuple[int, bytes, int]:
        """What names the request (D2, D7)."""
        return self.header["request_id"], *((b"", 0) if self.joined else self.sender)

    @property
    def fingerprint(self) -> int:
        request_id, src_ip, src_port = self.key
        return request_fingerprint(request_id, int.from_bytes(src_ip), src_port)


@dataclass(frozen=True)
class Hop:
    """A next hop, in one IP version."""

    mac: int
    ip: bytes
    port: int


@dataclass
class Part:
    """A tensor of which fragments are collected; ``origin`` and ``hop`` are those of the first."""

    total: int
    origin: Origin | None = None
    hop: Hop | None = None
    count: int = 0
    step: int = 0
    last_offset: int | None = None
    here: dict[int, bytes] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        return self.origin is not None

    @property
    def whole(self) -> bool:
        return self.begun and len(self.here) == self.count

    def impossible(self, header: Fields, size: int) -> bool:
        """Whether no tensor of these bytes has such a fragment."""
        if header["fragment_count"] > -(-self.total // fragments.FRAGMENT_STEP):
            return True
        return not header["last"] and header["offset"] != header["fragment_index"] * size

    def contradicts(self, header: Fields, size: int) -> bool:
        """Whether a fragment does not fit what came before."""
        if self.impossible(header, size):
            return True
        if not self.begun:
            return False
        if header["fragment_count"] != self.count:
            return True
        if header["last"]:
            return bool(self.step) and header["offset"] != (self.count - 1) * self.step
        if self.last_offset is not None and self.last_offset != (self.count - 1) * size:
            return True
        return self.step not in (0, size)

    def take(self, origin: Origin, hop: Hop, payload: bytes) -> None:
        header = origin.header
        if not self.begun:
            self.origin, self.hop = origin, hop
        self.count = header["fragment_count"]
        if header["last"]:
            self.last_offset = header["offset"]
        else:
            self.step = len(payload)
        self.here[header["fragment_index"]] = payload


@dataclass
class Slot:
    """A request whose fragments are collected, or that is whole; ``origin`` opened it."""

    origin: Origin
    parts: list[Part]
    latest: int = 0
    asks: int = 0

    @property
    def whole(self) -> bool:
        return all(part.whole for part in self.parts)

    @property
    def ended(self) -> bool:
        """Whether the last fragment of each tensor is here."""
        return all(part.last_offset is not None for part in self.parts)


class Golden:
    """A NIC around a slice that is a function of bytes.

    Parameters
    ----------
    registers : values of configuration registers, those of 48 and 64 bits whole
    inputs : bytes of each tensor that the slice takes; outputs : of each that it gives
    execute : the slice
    core : its number, and of how many; each is a model of its own (:mod:`.golden_cores`)

    Attributes
    ----------
    others : frames that are not to our address, with their bad-frame bit
    passed : frames to our address that passed
    sent_on : frames that were declined or forwarded, in order
    results : for each request that was executed and each output, its frames, with ``cycles`` 0
    given_up : frames of requests that were given up, for each request
    asked : frames that ask senders
    outcomes, events, hits : counted
    """

    def __init__(
        self,
        registers: Fields,
        inputs: Sequence[int],
        outputs: Sequence[int],
        execute: Callable[[list[bytes]], list[bytes]],
        core: tuple[int, int] = (0, 1),
    ) -> None:
        self.registers: MutableMapping[str, int] = dict(registers)
        self._in, self._out, self._execute = list(inputs), list(outputs), execute
        self._core, cores = core
        self.slot_count = slots_of(sum(inputs), cores)
        self.slots: dict[tuple[int, bytes, int], Slot] = {}
        self.decisions: dict[int, tuple[int, DeclineReason | Action]] = {}
        self.table: list[Fields | None] = [None] * ENTRIES
        """Entries by the registers' names without ``table_``, those of several words whole; and
        ``since``."""
        self.written: Counter[tuple[int, int]] = Counter()
        """How often each place of ``decisions`` of each core was written; the test clears it."""
        self.others: list[tuple[bytes, bool]] = []
        self.passed: list[bytes] = []
        self.sent_on: list[bytes] = []
        self.results: list[list[bytes]] = []
        self.given_up: list[list[bytes]] = []
        self.asked: list[bytes] = []
        self.outcomes: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()

    @property
    def now(self) -> int:
        return self.registers["time_us"]

    def lacking_since(self) -> list[int]:
        """When the last new fragment came, of each request that lacks some."""
        return [slot.latest for slot in self.slots.values() if not slot.whole]

    def crowded(self) -> bool:
        """Whether the slots fill: what is unfinished should be given up."""
        return len(self.slots) > self.slot_count // 3

    def open_places(self) -> list[tuple[int, int]]:
        """Core and place of ``decisions`` of each request that has a slot."""
        return [(self._core, s.origin.fingerprint % DECISIONS) for s in self.slots.values()]

    def frame(self, frame: bytes, bad: bool = False) -> FrameOutcome:
        """One frame comes in."""
        try:
            where = self._to_us(frame)
        except Elsewhere as why:
            outcome = FrameOutcome.PASSED
            self.events["unread"] += isinstance(why, Unread)
            self.others.append((frame, bad))
        else:
            outcome = self._judge(frame, where, bad)
            if outcome <= FrameOutcome.PASSED_OTHER_TYPE:
                self.passed.append(frame)
        self.outcomes[outcome.name.lower()] += 1
        self.outcomes["frames_in"] += 1
        return outcome

    def settle(self) -> None:
        """Requests that are whole are executed, and their results leave."""
        for key, slot in list(self.slots.items()):
            if slot.whole:
                del self.slots[key]
                self._decide(slot.origin, DeclineReason.NONE)
                self.events["requests"] += 1
                self._result(slot)

    def wait(self, microseconds: int) -> None:
        """Time passes, and nothing else; then everything that is due happens."""
        self.registers["time_us"] = (self.now + microseconds) % (1 << 32)
        for index, entry in enumerate(self.table):
            if entry and 0 < entry["lifetime_us"] <= (self.now - entry["since"]) % (1 << 32):
                self.table[index] = None  # T6
        for key, slot in list(self.slots.items()):
            age = (self.now - slot.latest) % (1 << 32)
            timeout, ask = self.registers["timeout_us"], self.registers["ask_us"]
            if timeout and age >= timeout:
                self._give_up(key, slot)
                continue
            while not slot.whole and ask and slot.asks < QUICK_ASKS + MAX_ASKS:
                if age < ask << slot.asks >> QUICK_ASKS:
                    break
                self._ask(slot)

    def commit(self, index: int, **entry: int) -> None:
        """An entry of the steering table is written, or removed without an action (T5)."""
        self.table[index] = {**entry, "since": self.now} if entry.get("action") else None
        self.hits[HITS[index]] = 0

    def disable(self) -> None:
        """``control`` becomes 0: everything passes, and what is unfinished is given up."""
        self.registers["control"] = 0
        for key, slot in list(self.slots.items()):
            self._give_up(key, slot)

    def _to_us(self, frame: bytes) -> Where:
        """Rule A1."""
        mine = self.registers
        if not mine["control"]:
            raise Elsewhere
        return read(
            frame, Address(mine["own_ip"], mine["own_port"], mine["own_ip6"], mine["next_ip6"])
        )

    def _judge(self, frame: bytes, where: Where, bad: bool) -> FrameOutcome:
        """Rules P1 to P5."""
        if len(frame) > MAX_FRAME_BYTES:
            return FrameOutcome.PASSED
        if bad:
            return FrameOutcome.DROPPED_BAD_FRAME
        if not well_formed(frame, where):
            return FrameOutcome.PASSED_MALFORMED
        datagram = where.datagram(frame)
        header = fields_of(datagram)
        crc = google_crc32c.value(datagram[: wire.HEADER_BYTES - 4] + bytes(4))
        for wrong, outcome in (
            (header["magic"] != wire.MAGIC, FrameOutcome.PASSED_BAD_MAGIC),
            (header["version"] != wire.VERSION, FrameOutcome.PASSED_BAD_VERSION),
            (header["crc"] != crc, FrameOutcome.PASSED_BAD_CRC),
            (header["message_type"] != MessageType.TENSOR, FrameOutcome.PASSED_OTHER_TYPE),
            (not udp_is_right(frame, where), FrameOutcome.DROPPED_BAD_CHECKSUM),
            (not self._sound(header, datagram), FrameOutcome.DROPPED_BAD_LENGTH),
            (header["hop_limit"] == 0, FrameOutcome.DROPPED_HOP_LIMIT),
        ):
            if wrong:
                return outcome
        return self._ours(self._origin(frame, where, header), datagram[wire.HEADER_BYTES :])

    def _origin(self, frame: bytes, where: Where, header: Fields) -> Origin:
        at = where.ip_at
        if where.ipv6:
            tos, ttl = int.from_bytes(frame[at : at + 2]) >> 4 & 0xFF, frame[at + 7]
        else:
            tos, ttl = frame[at + 1], frame[at + 8]
        addresses = frame[where.addresses]
        half = len(addresses) // 2
        return Origin(
            src_mac=frame[6:12],
            tags=frame[12 : at - 2],
            ipv6=where.ipv6,
            src_ip=addresses[:half],
            dst_ip=addresses[half:],
            src_port=int.from_bytes(frame[where.udp_at : where.udp_at + 2]),
            tos=tos,
            ttl=ttl,
            came=self.now,
            header=header,
            joined=len(self._in) > 1,
        )

    def _sound(self, header: Fields, datagram: bytes) -> bool:
        """Rule W2."""
        tail = wire.TAG_BYTES if header["encrypted"] else 0
        checked = wire.Header(
            last=bool(header["last"]),
            fragment_index=header["fragment_index"],
            fragment_count=header["fragment_count"],
            offset=header["offset"],
            total_bytes=header["total_bytes"],
        )
        try:
            fragments.check_fragment(checked, len(datagram) - wire.HEADER_BYTES - tail)
        except wire.BadLength:
            return False
        return True

    def _ours(self, origin: Origin, payload: bytes) -> FrameOutcome:
        """Rules D0 to D7, T1 to T4 and T8."""
        header, entry = origin.header, self._entry(origin.header)
        hop = self._hop(origin, entry)
        if header["result"] and self._another(header):
            self._send_on(origin, hop, payload)
            return FrameOutcome.FORWARDED
        reason = self._static(header)
        verdict = self._steered(header, entry)
        if reason is DeclineReason.NONE:
            fate = self._collect(origin, hop, payload, verdict)
            if isinstance(fate, FrameOutcome):
                return fate
            verdict = fate
        if verdict is Action.FORWARD:
            self._send_on(origin, hop, payload)
            return FrameOutcome.FORWARDED
        reason = verdict if isinstance(verdict, DeclineReason) else reason
        self._send_on(origin, hop, payload, declined=1, reason=int(reason))
        return FrameOutcome(FIRST_DECLINED - 1 + reason)

    def _entry(self, header: Fields) -> Fields | None:
        """Rules T1 and T8."""
        names = ("tenant", "model_hash", "cursor")
        for index, entry in enumerate(self.table):
            if entry and all(entry[name] == header[name] for name in names):
                self.hits[HITS[index]] += 1
                return entry
        return None

    def _hop(self, origin: Origin, entry: Fields | None) -> Hop:
        """Rule T2."""
        name, size = ("next_ip6", 16) if origin.ipv6 else ("next_ip", 4)
        of = entry if entry and entry[name] else self.registers
        return Hop(of["next_mac"], of[name].to_bytes(size), of["next_port"])

    def _steered(self, header: Fields, entry: Fields | None) -> Action | DeclineReason:
        """Rule T3."""
        if entry is None:
            return Action.EXECUTE
        in_clear = entry["must_encrypt"] and not header["encrypted"]
        if not entry["regions"] >> header["region"] & 1 or in_clear:
            return DeclineReason.POLICY
        return (
            DeclineReason.POLICY if entry["action"] == Action.REDIRECT else Action(entry["action"])
        )

    def _another(self, header: Fields) -> bool:
        names = ("tenant", "model_hash", "cursor", "slice_count")
        return any(header[name] != self.registers[name] for name in names)

    def _static(self, header: Fields) -> DeclineReason:
        """Rule D1."""
        mine = self.registers
        cursor = (header["cursor"], header["slice_count"]) != (mine["cursor"], mine["slice_count"])
        index, tensors = header["tensor_index"], len(self._in)
        no_tensor = index >= tensors or header["source_count"] != tensors
        for wrong, reason in (
            (header["encrypted"], DeclineReason.ENCRYPTED),
            (header["tenant"] != mine["tenant"], DeclineReason.WRONG_TENANT),
            (header["model_hash"] != mine["model_hash"], DeclineReason.WRONG_MODEL),
            (cursor, DeclineReason.WRONG_CURSOR),
            (header["epoch"] != mine["epoch"], DeclineReason.WRONG_EPOCH),
            (no_tensor, DeclineReason.WRONG_TENSOR),
            (not header["may_execute"], DeclineReason.POLICY),
            (header["deadline_us"] == 0, DeclineReason.DEADLINE),
            (header["total_bytes"] != self._in[index % tensors], DeclineReason.BAD_LENGTH),
        ):
            if wrong:
                return reason
        return DeclineReason.NONE

    def _collect(
        self, origin: Origin, hop: Hop, payload: bytes, verdict: Action | DeclineReason
    ) -> FrameOutcome | DeclineReason | Action:
        """Rules D2, D3, D6 and D7; ``verdict`` is the table's (T4)."""
        header = origin.header
        slot = self.slots.get(origin.key)
        index = header["tensor_index"]
        if slot is None:
            if self._shares_fingerprint(origin):
                self._decide(origin, DeclineReason.BUSY)
                return DeclineReason.BUSY
            known = self.decisions.get(origin.fingerprint % DECISIONS)
            if known is not None and known[0] == origin.fingerprint:
                if known[1] is not DeclineReason.NONE:
                    return known[1]
                if not header["resend"]:
                    return FrameOutcome.DROPPED_DUPLICATE
            if verdict is not Action.EXECUTE:
                self._decide(origin, verdict)
                return verdict
            slot = Slot(origin, [Part(size) for size in self._in])
            if slot.parts[index].impossible(header, len(payload)):
                return FrameOutcome.DROPPED_BAD_LENGTH
            if not self._may_open(origin):
                self._decide(origin, DeclineReason.BUSY)
                return DeclineReason.BUSY
            self.slots[origin.key] = slot
        part = slot.parts[index]
        if part.origin and part.origin.sender != origin.sender:
            return DeclineReason.WRONG_TENSOR
        if slot.whole:
            return FrameOutcome.DROPPED_DUPLICATE
        if part.contradicts(header, len(payload)):
            return FrameOutcome.DROPPED_BAD_LENGTH
        if header["fragment_index"] in part.here:
            return FrameOutcome.DROPPED_DUPLICATE
        part.take(origin, hop, payload)
        slot.latest, slot.asks = self.now, 0 if slot.ended else QUICK_ASKS
        return FrameOutcome.COLLECTED

    def _shares_fingerprint(self, origin: Origin) -> bool:
        """With another request, which has a slot."""
        return any(slot.origin.fingerprint == origin.fingerprint for slot in self.slots.values())

    def _may_open(self, origin: Origin) -> bool:
        free = self.slot_count - len(self.slots)
        held = sum(slot.origin.sender == origin.sender for slot in self.slots.values())
        return free > 0 and (held == 0 or held < 4 * (free - 1))

    def _decide(self, origin: Origin, reason: DeclineReason | Action) -> None:
        place = origin.fingerprint % DECISIONS
        self.decisions[place] = (origin.fingerprint, reason)
        self.written[self._core, place] += 1

    def _give_up(self, key: tuple[int, bytes, int], slot: Slot) -> None:
        """Rule D4."""
        if slot.whole:
            return
        del self.slots[key]
        self._decide(slot.origin, DeclineReason.INCOMPLETE)
        self.events["evicted"] += 1
        self.given_up.append([])
        for part in slot.parts:
            self._give_up_part(part)

    def _give_up_part(self, part: Part) -> None:
        for index, payload in sorted(part.here.items()):
            assert part.origin is not None and part.hop is not None
            last = index == part.count - 1
            self.events["evicted_fragments"] += 1
            self.given_up[-1].append(
                self._onward(
                    part.origin,
                    part.hop,
                    payload,
                    fragment_index=index,
                    offset=part.total - len(payload) if last else index * len(payload),
                    last=int(last),
                    declined=1,
                    reason=int(DeclineReason.INCOMPLETE),
                )
            )

    def _ask(self, slot: Slot) -> None:
        """Rules D4, D7 and W8."""
        slot.asks += 1
        part = next((part for part in slot.parts if part.begun and not part.whole), None)
        if part is None or part.origin is None:
            return
        self.events["asked"] += 1
        missing = [index for index in range(part.count) if index not in part.here]
        first = missing[0] // GROUP * GROUP
        bitmap = sum(1 << 63 - (index - first) for index in missing if index < first + GROUP)
        changes = {
            "message_type": int(MessageType.MISSING),
            "fragment_index": first,
            "offset": 0,
            "last": 1,
        }
        head = header_of({**part.origin.header, **changes})
        self.asked.append(self._packet(part.origin, head + bitmap.to_bytes(8)))

    def _send_on(self, origin: Origin, hop: Hop, payload: bytes, **changes: int) -> None:
        self.sent_on.append(self._onward(origin, hop, payload, **changes))

    def _onward(self, origin: Origin, hop: Hop, payload: bytes, **changes: int) -> bytes:
        """A frame to a next hop (W4, W5)."""
        header = origin.header
        used = (self.now - origin.came) % (1 << 32)
        left = {
            "hop_limit": header["hop_limit"] - 1,
            "deadline_us": max(0, header["deadline_us"] - used),
        }
        return self._packet(origin, header_of({**header, **left, **changes}) + payload, hop)

    def _result(self, slot: Slot) -> None:
        """Rules W3 and W6."""
        tensors = [b"".join(part.here[index] for index in range(part.count)) for part in slot.parts]
        for index, tensor in enumerate(self._execute(tensors)):
            assert len(tensor) == self._out[index]
            self._result_of(slot.parts[0], index, tensor)
        self.events["results"] += 1

    def _result_of(self, first: Part, tensor_index: int, tensor: bytes) -> None:
        """One output, in the name of whoever sent the first input."""
        origin, hop = first.origin, first.hop
        assert origin is not None and hop is not None
        step = self.registers["fragment_bytes"]
        starts = range(0, len(tensor), step)
        frames = []
        for index, start in enumerate(starts):
            last = int(index + 1 == len(starts))
            changes = {
                "last": last,
                "result": 1,
                "declined": 0,
                "reason": 0,
                "telemetry": last,
                "cycles": 0,
                "cursor": origin.header["cursor"] + 1,
                "fragment_index": index,
                "fragment_count": len(starts),
                "offset": start,
                "total_bytes": len(tensor),
                "tensor_index": tensor_index,
                "source_count": len(self._out),
                "element_type": self.registers["element_type"],
            }
            frames.append(self._onward(origin, hop, tensor[start : start + step], **changes))
        self.events["result_frames"] += len(frames)
        self.results.append(frames)

    def _packet(self, origin: Origin, datagram: bytes, hop: Hop | None = None) -> bytes:
        """Rules F1 and F2; without a next hop it goes back."""
        mine = self.registers
        own_mac = mine["own_mac"].to_bytes(6)
        if hop is None:
            macs = origin.src_mac + own_mac
            addresses = origin.dst_ip + origin.src_ip
            ports = mine["own_port"], origin.src_port
        else:
            macs, addresses = hop.mac.to_bytes(6) + own_mac, origin.src_ip + hop.ip
            ports = origin.src_port, hop.port
        ttl = 64 if hop is None else origin.ttl
        return frame_of(datagram, macs + origin.tags, addresses, ports, origin.tos, ttl)


def frame_of(
    datagram: bytes,
    ethernet: bytes,
    addresses: bytes,
    ports: tuple[int, int],
    tos: int = 0,
    ttl: int = 64,
) -> bytes:
    """Ethernet (destination, source, tags), IPv4 or IPv6 (source, destination; the version is that
    of addresses so long) and UDP around a datagram.
    """
    size = 8 + len(datagram)
    if len(addresses) == 32:
        ip = b"\x86\xdd" + struct.pack(">IHBB", 6 << 28 | tos << 20, size, 17, ttl) + addresses
    else:
        ip = struct.pack(">BBHHHBBH", 0x45, tos, 20 + size, 0, 0x4000, ttl, 17, 0)
        check = (0xFFFF ^ sum16(ip + addresses)).to_bytes(2)
        ip = b"\x08\x00" + ip[:10] + check + addresses
    udp = struct.pack(">HHH", *ports, size)
    total = sum16(addresses + bytes([0, 17]) + udp[4:] + udp + datagram)
    return ethernet + ip + udp + ((0xFFFF ^ total) or 0xFFFF).to_bytes(2) + datagram
