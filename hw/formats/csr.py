# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Control and status registers of the NIC, described once.

:data:`REGISTERS` is the only definition: the AXI-Lite register file
(:mod:`midwire.hw.nic.register_file`), the addresses that the NIC process writes and reads, and the
table in ``docs/nic.md`` come from it. No Amaranth here, so that a running node may import it.

Rules, cited by tests as C1 to C8:

C1. Registers are 32 bits apart, 32-bit accesses only. Bits above a register's width read as zero.
C2. An access to an address without a register, or a write to a read-only one, answers SLVERR and
    changes nothing.
C3. Every frame that came in adds one to ``frames_in`` and, when its fate is decided, to exactly one
    counter of :class:`FrameOutcome`.
C4. Values of more than 32 bits are two registers, ``*_high`` first, or four, ``*_0`` to ``*_3``,
    highest first; the bytes of an address or a hash are read as a number in network order.
C5. A counter has 64 bits, the high word at its address and the low word behind it. It reads as it
    was when ``snapshot`` was last written, whatever was written; all of them as of one cycle before
    that write was answered.
C6. What is written to registers of access ``entry`` waits until ``table_commit`` is written, and is
    the entry ``table_index`` then (T5 of nic/entries.py). They read as that entry is, and as 0
    where there is none. A commit to a place or of an action that is not there is one of C2.
C7. ``table_K_hits`` is a counter of the frames that had the entry in place K (T8) since the last
    commit to that place, which makes it 0.
C8. Registers of access ``model``, those of :data:`OF_CORE`, and what registers ``weights_*`` do,
    are of core ``core_index``: one of ``cores``, each with a slice of its own. Where there is no
    such core, they read as 0, and a write is one of C2.
C9. Registers ``weights_*`` load and swap the weights of a slice with side ports (X1 to X5 of
    nic/weights.py). ``weights_hardware`` is what whoever loaded the slice says that it was built
    from (:attr:`~.bundle.Bundle.hardware`): it changes nothing, but tells which weights fit. What
    is written to ``weights_model_hash_*`` and ``weights_epoch`` waits for the swap.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

from .actions import ANY_REGION, ENTRIES, Action
from .fragments import fragment_bytes
from .headers import HEADERS_WITHIN
from .wire import UDP_PORT, DeclineReason

Access = Literal["constant", "status", "config", "model", "entry", "command", "counter"]

TYPE = 0x4D57_0001
"""Vendor ("MW") and kind (NIC shell) of this register block."""

BLOCK_VERSION = 0x0001_0005
"""Version of this register block: major 16, minor 16."""

MAX_CORES = 8
"""Slices in one NIC."""

ADDRESS_BITS = 12
COUNTERS_AT = 0x100
HITS_AT = 0x300
WEIGHTS_AT = 0x400
COUNTER_BITS = 64


class FrameOutcome(IntEnum):
    """What became of a frame. Exactly one for each frame."""

    PASSED = 0
    PASSED_MALFORMED = 1
    PASSED_BAD_MAGIC = 2
    PASSED_BAD_VERSION = 3
    PASSED_BAD_CRC = 4
    PASSED_OTHER_TYPE = 5
    DROPPED_BAD_FRAME = 6
    DROPPED_BAD_CHECKSUM = 7
    DROPPED_BAD_LENGTH = 8
    DROPPED_HOP_LIMIT = 9
    DROPPED_DUPLICATE = 10
    COLLECTED = 11
    FORWARDED = 12
    DECLINED_BUSY = 13
    DECLINED_WRONG_MODEL = 14
    DECLINED_WRONG_CURSOR = 15
    DECLINED_WRONG_TENANT = 16
    DECLINED_WRONG_EPOCH = 17
    DECLINED_POLICY = 18
    DECLINED_DEADLINE = 19
    DECLINED_BAD_LENGTH = 20
    DECLINED_INCOMPLETE = 21
    DECLINED_WRONG_TENSOR = 22
    DECLINED_ENCRYPTED = 23
    ANSWERED = 24


FIRST_DECLINED = FrameOutcome.DECLINED_BUSY
"""A declined frame counts under ``FIRST_DECLINED + reason - 1``, and so does one that is forwarded,
which has no reason."""


class Register(NamedTuple):
    """One register.

    Attributes
    ----------
    name : str
    offset : int
        Byte address.
    width : int
        Bits, at most 32; 64 of a counter.
    access : str
        ``"constant"`` (fixed in the hardware), ``"status"`` (read only), ``"config"`` (read and
        write), ``"model"`` (as that, of one core: C8), ``"entry"`` (of the steering table: C6),
        ``"command"`` (reads as 0, acts when written) or ``"counter"`` (read only).
    reset : int
        Value after reset. Constants that depend on the slice have 0 here.
    doc : str
    """

    name: str
    offset: int
    width: int
    access: Access
    reset: int
    doc: str

    @property
    def addresses(self) -> range:
        """Byte addresses of its words, highest first."""
        return range(self.offset, self.offset + -(-self.width // 32) * 4, 4)


_OUTCOME_DOCS = {
    FrameOutcome.PASSED: "not for us: passed through",
    FrameOutcome.PASSED_MALFORMED: (
        "to our address, but the IPv4 checksum or lengths are wrong, or there is no room for a "
        "header: passed through"
    ),
    FrameOutcome.PASSED_BAD_MAGIC: "to our address, but not midwire: passed through",
    FrameOutcome.PASSED_BAD_VERSION: "to our address, header of another version: passed through",
    FrameOutcome.PASSED_BAD_CRC: "to our address, header damaged: passed through",
    FrameOutcome.PASSED_OTHER_TYPE: "to our address, good header, but not a tensor: passed through",
    FrameOutcome.DROPPED_BAD_FRAME: "to our address, but with the bad-frame bit: dropped",
    FrameOutcome.DROPPED_BAD_CHECKSUM: "ours, but the UDP checksum is wrong: dropped",
    FrameOutcome.DROPPED_BAD_LENGTH: "ours, but its lengths contradict each other: dropped",
    FrameOutcome.DROPPED_HOP_LIMIT: "ours, but the hop limit was 0: dropped",
    FrameOutcome.DROPPED_DUPLICATE: "a fragment that is here already, or was executed: dropped",
    FrameOutcome.COLLECTED: "a fragment taken for execution",
    FrameOutcome.FORWARDED: (
        "an earlier hop's result that is not for our slice, or what an entry of the steering table "
        "forwards: sent on as it is"
    ),
    FrameOutcome.ANSWERED: (
        "on its way from the next hop to a sender, it asks for fragments of a result that is kept: "
        "they are sent again (the pipeline keeps none)"
    ),
}

_Fixed = tuple[str, int, Access, int, str]


def _ipv6(name: str, doc: str, access: Access = "config") -> list[_Fixed]:
    """The four registers of an IPv6 address (C4)."""
    docs = (f"{doc}; first 4 bytes", "next 4 bytes", "next 4 bytes", "last 4 bytes")
    return [(f"{name}_{part}", 32, access, 0, text) for part, text in enumerate(docs)]


_ACTIONS = ", ".join(f"{action.value} {action.name.lower()}" for action in Action)

_TABLE: tuple[_Fixed, ...] = (
    (
        "table_index",
        8,
        "config",
        0,
        f"entry of the steering table that the next registers are of: 0 to {ENTRIES - 1}",
    ),
    (
        "table_commit",
        1,
        "command",
        0,
        "writing it makes what was written below the entry, all at once; action 0 removes it",
    ),
    ("table_action", 8, "entry", 0, _ACTIONS),
    ("table_tenant", 16, "entry", 0, "tenant of the frames that the entry is for"),
    ("table_model_hash_high", 32, "entry", 0, "first 4 bytes of their model hash"),
    ("table_model_hash_low", 32, "entry", 0, "last 4 bytes"),
    ("table_cursor", 8, "entry", 0, "their cursor"),
    (
        "table_regions",
        16,
        "entry",
        0,
        f"bit k allows frames of `region` k; {ANY_REGION:#x} allows all. Others are declined",
    ),
    ("table_must_encrypt", 1, "entry", 0, "frames that are not encrypted are declined"),
    (
        "table_lifetime_us",
        32,
        "entry",
        0,
        "microseconds from the commit on, after which the NIC removes the entry; 0 is never",
    ),
    ("table_next_mac_high", 16, "entry", 0, "MAC address of their next hop, first 2 bytes"),
    ("table_next_mac_low", 32, "entry", 0, "last 4 bytes"),
    (
        "table_next_ip",
        32,
        "entry",
        0,
        "IPv4 address of their next hop; 0: those of IPv4 go to the default next hop",
    ),
    ("table_next_port", 16, "entry", 0, "UDP port of their next hop"),
    *_ipv6(
        "table_next_ip6",
        "IPv6 address of their next hop; 0: those of IPv6 go to the default next hop",
        "entry",
    ),
)


_FIXED: tuple[_Fixed, ...] = (
    ("type", 32, "constant", TYPE, "vendor and kind of this block"),
    ("version", 32, "constant", BLOCK_VERSION, "version of this block: major 16, minor 16"),
    ("next_block", 32, "constant", 0, "address of the next block; 0 is none"),
    (
        "capability",
        32,
        "constant",
        0,
        ("bits 7:0 bytes of a beat, 15:8 request slots, 23:16 slice inputs, 31:24 slice outputs"),
    ),
    ("input_bytes", 32, "constant", 0, "bytes of the slice's input tensor; 0 if it has several"),
    ("output_bytes", 32, "constant", 0, "bytes of the slice's output tensor; 0 if it has several"),
    (
        "status",
        3,
        "status",
        0,
        "bit 0 something moves inside; bit 1 a request lacks fragments; bit 2 the slice has work",
    ),
    ("snapshot", 1, "command", 0, "writing it makes counters read as they are now, all at once"),
    ("control", 1, "config", 0, "bit 0 enable; at 0 every frame passes through"),
    ("cores", 8, "constant", 1, "slices that are here side by side, each in a core of its own"),
    (
        "core_index",
        8,
        "config",
        0,
        (
            "core that registers of access model are of, `capability`, `input_bytes` and "
            "`output_bytes`, and all of `weights_*`: 0 to `cores` - 1"
        ),
    ),
    ("model_hash_high", 32, "model", 0, "first 4 bytes of the model hash"),
    ("model_hash_low", 32, "model", 0, "last 4 bytes of the model hash"),
    ("tenant", 16, "model", 0, "tenant that may execute"),
    ("cursor", 8, "model", 0, "slice that is loaded"),
    ("slice_count", 8, "model", 1, "slices of the model"),
    ("epoch", 16, "model", 0, "version of the weights that are loaded"),
    ("element_type", 8, "model", 0, "element type of results, as in ONNX's TensorProto"),
    (
        "clock_mhz",
        16,
        "config",
        250,
        "clock cycles per microsecond; 0: time is what is written to `time_us`",
    ),
    ("time_us", 32, "config", 0, "the time in microseconds, while `clock_mhz` is 0; it wraps"),
    (
        "fragment_bytes",
        16,
        "config",
        fragment_bytes(),
        "tensor bytes in a result's fragment; a multiple of 64 from 64 to 8832 is made of it",
    ),
    (
        "timeout_us",
        32,
        "config",
        10_000,
        "microseconds without a new fragment after which a request is given up; 0 is never",
    ),
    (
        "ask_us",
        16,
        "config",
        1000,
        (
            "microseconds without a new fragment after which the sender is asked for what is "
            "missing, at first; twice as many each time; 0 is never"
        ),
    ),
    ("own_mac_high", 16, "config", 0x0200, "source MAC address of what we send, first 2 bytes"),
    ("own_mac_low", 32, "config", 0x0000_0001, "last 4 bytes"),
    ("own_ip", 32, "config", 0, "IPv4 destination of frames for us; 0 is any"),
    ("own_port", 16, "config", UDP_PORT, "UDP destination of frames for us"),
    ("next_mac_high", 16, "config", 0x0200, "MAC address of the next hop, first 2 bytes"),
    ("next_mac_low", 32, "config", 0x0000_0002, "last 4 bytes"),
    ("next_ip", 32, "config", 0, "IPv4 address of the next hop"),
    ("next_port", 16, "config", UDP_PORT, "UDP port of the next hop"),
    *_ipv6("own_ip6", "IPv6 destination of frames for us; 0, or `next_ip6` of 0: IPv6 passes"),
    *_ipv6("next_ip6", "IPv6 address of the next hop"),
    *_TABLE,
)

_WEIGHTS: tuple[_Fixed, ...] = (
    ("weights_ports", 16, "constant", 0, "side ports of the slice; 0: its weights are fixed"),
    (
        "weights_hardware",
        32,
        "model",
        0,
        "what the slice was built from, as whoever loaded it says; 0: nobody has said",
    ),
    ("weights_port", 16, "model", 0, "side port that is loaded next; writing it begins anew"),
    ("weights_words", 32, "status", 0, "words of that port's memory; 0: there is no such port"),
    ("weights_beat_bytes", 16, "status", 0, "bytes of such a word"),
    (
        "weights_data",
        32,
        "command",
        0,
        "the next 4 bytes of its words, each as whole registers, the first byte lowest",
    ),
    ("weights_model_hash_high", 32, "model", 0, "`model_hash_high` from the next swap on"),
    ("weights_model_hash_low", 32, "model", 0, "`model_hash_low` from the next swap on"),
    ("weights_epoch", 16, "model", 0, "`epoch` from the next swap on"),
    (
        "weights_commit",
        1,
        "command",
        0,
        "writing it swaps weights, model hash and epoch, all at once, when the slice is empty",
    ),
    (
        "weights_status",
        3,
        "status",
        0,
        "bit 0 a commit waits; bit 1 the bank that is read; bit 2 the other one is loaded",
    ),
)

_EVENTS = (
    ("frames_in", "frames that came in"),
    (
        "unread",
        f"passed: IPv6 whose headers do not end in the frame's first {HEADERS_WITHIN} bytes",
    ),
    (
        "overrun",
        (
            "passed, though it is to our address: more of that came than can be looked at, on "
            "a stream of more than 64 bits, or it came behind an overlong frame"
        ),
    ),
    ("requests", "requests that were collected whole"),
    ("asked", "frames sent back to ask for missing fragments"),
    ("evicted", "requests given up, unfinished or of the model before, and sent on as declined"),
    ("evicted_fragments", "fragments of given-up requests sent on"),
    ("results", "results sent whole"),
    ("result_frames", "frames of results sent, once or again"),
)

HITS = tuple(f"table_{place}_hits" for place in range(ENTRIES))
"""Counters of the steering table, one for each place."""


def _block(start: int, rows: tuple[_Fixed, ...]) -> list[Register]:
    """Registers behind each other."""
    return [
        Register(name, start + 4 * index, width, access, reset, doc)
        for index, (name, width, access, reset, doc) in enumerate(rows)
    ]


def _registers() -> tuple[Register, ...]:
    found = _block(0, _FIXED)
    counters = [(name, doc) for name, doc in _EVENTS]
    for outcome in FrameOutcome:
        if outcome in _OUTCOME_DOCS:
            doc = _OUTCOME_DOCS[outcome]
        else:
            reason = DeclineReason(outcome - FIRST_DECLINED + 1)
            doc = f"declined, reason {reason.value} ({reason.name.lower().replace('_', ' ')})"
        counters.append((outcome.name.lower(), doc))
    for index, (name, doc) in enumerate(counters):
        found.append(Register(name, COUNTERS_AT + 8 * index, COUNTER_BITS, "counter", 0, doc))
    for place, name in enumerate(HITS):
        doc = f"frames that had entry {place} of the steering table since its last commit"
        found.append(Register(name, HITS_AT + 8 * place, COUNTER_BITS, "counter", 0, doc))
    return tuple(found + _block(WEIGHTS_AT, _WEIGHTS))


REGISTERS = _registers()
"""All registers, in the order of their addresses."""

ADDRESS = {register.name: register.offset for register in REGISTERS}
"""Byte address of each register."""

OF_CORE = ("capability", "input_bytes", "output_bytes", "weights_ports")
"""Constants of one core (C8)."""

WIDTH = {register.name: register.width for register in REGISTERS}
"""Bits of each register."""

EVENTS = tuple(name for name, _ in _EVENTS)
"""Counters that are not outcomes."""

COUNTERS = (*EVENTS, *(outcome.name.lower() for outcome in FrameOutcome))
"""Counters of the whole NIC, in the order of their addresses; :data:`HITS` are the others."""

WEIGHTS_WAIT, WEIGHTS_BANK, WEIGHTS_LOADED = 1, 2, 4
"""Bits of ``weights_status``."""

STATUS_BUSY, STATUS_COLLECTING, STATUS_COMPUTING = 1, 2, 4


def parts_of(name: str) -> list[str]:
    """Names of the registers that hold a value, its highest bits first (C4)."""
    for suffixes in (("high", "low"), ("0", "1", "2", "3")):
        parts = [f"{name}_{suffix}" for suffix in suffixes]
        if parts[0] in ADDRESS:
            return parts
    return [name]


def settings(**values: int) -> list[tuple[int, int]]:
    """Writes (address, value) that configure the NIC, ``control`` last.

    Parameters
    ----------
    values
        By register name; ``model_hash`` (64 bits), ``own_mac`` and ``next_mac`` (48 bits),
        ``own_ip6`` and ``next_ip6`` (128 bits) may be given whole, and so may those of an entry of
        the steering table. A commit is not among them. Those of access ``model`` are of core
        ``core_index``.

    Raises
    ------
    ValueError
        If a name is no configuration register, or a value does not fit.
    """
    known = {r.name: r for r in REGISTERS if r.access in {"config", "model", "entry"}}
    split: dict[str, int] = {}
    for name, value in values.items():
        first, *others = parts_of(name)
        for part in reversed(others):
            split[part] = value & 0xFFFF_FFFF
            value >>= 32
        split[first] = value
    for name, value in split.items():
        if name not in known:
            raise ValueError(f"{name!r} is not a configuration register; there are {list(known)}")
        if not 0 <= value < 1 << known[name].width:
            raise ValueError(f"register {name} has too few bits for {value:#x}")
    names = sorted(split, key=lambda name: (name == "control", known[name].offset))
    return [(known[name].offset, split[name]) for name in names]


_DERIVED = {"capability", "input_bytes", "output_bytes", "weights_ports"}
"""Constants that depend on the slice."""


def table() -> str:
    """The registers as a Markdown table, for ``docs/nic.md``."""
    lines = [
        "| address | register | bits | access | reset | meaning |",
        "|---|---|---:|---|---|---|",
    ]
    for r in REGISTERS:
        derived = r.name in {"cores", *OF_CORE}
        reset = "by slice" if derived else f"{r.reset:#x}"
        lines.append(
            f"| `{r.offset:#05x}` | `{r.name}` | {r.width} | {r.access} | {reset} | {r.doc} |"
        )
    return "\n".join(lines) + "\n"
