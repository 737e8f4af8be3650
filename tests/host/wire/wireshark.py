# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of Wireshark's Lua API that a dissector of ours may use, without Wireshark.

Strict where Wireshark is: a name that is not here, a range that was not captured, a field that was
not registered, a mask, base or size that does not suit its type are errors, as they are there.
Named after what they stand for; what an item's value becomes follows ``proto_tree_add_item``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

Number = Callable[[int], float]
"""Of Lua: Wireshark's functions give integers, or floats as all numbers are before Lua 5.3."""

_GROUPS = ("CHECKSUM", "MALFORMED", "PROTOCOL", "RESPONSE_CODE", "UNDECODED")
_SEVERITIES = ("COMMENT", "CHAT", "NOTE", "WARN", "ERROR")
BASES = {"NONE": 0, "DEC": 1, "HEX": 2, "OCT": 3, "DEC_HEX": 4, "HEX_DEC": 5}


@dataclass(frozen=True, eq=False)
class Kind:
    """A ProtoField."""

    kind: str
    abbreviation: str
    title: str
    base: int
    values: Mapping[int, str]
    mask: int
    meaning: str


class FieldKinds:
    """``ProtoField``."""

    def bytes(self, abbreviation: str, title: str, base: int, meaning: str) -> Kind:
        assert base == BASES["NONE"]
        return self._made("bytes", abbreviation, title, base, None, None, meaning)

    def bool(self, *arguments: Any) -> Kind:
        made = self._made("bool", *arguments)
        assert (1 <= made.base <= 64) if made.mask else made.base == BASES["NONE"]
        assert made.mask.bit_length() <= made.base
        return made

    def uint8(self, *arguments: Any) -> Kind:
        return self._integer(8, *arguments)

    def uint16(self, *arguments: Any) -> Kind:
        return self._integer(16, *arguments)

    def uint24(self, *arguments: Any) -> Kind:
        return self._integer(24, *arguments)

    def uint32(self, *arguments: Any) -> Kind:
        return self._integer(32, *arguments)

    def uint64(self, *arguments: Any) -> Kind:
        made = self._integer(64, *arguments)
        assert not made.mask, "Wireshark 3.6 takes no mask of more than 32 bits from Lua"
        return made

    def _integer(self, bits: int, *arguments: Any) -> Kind:
        made = self._made(f"uint{bits}", *arguments)
        assert BASES["DEC"] <= made.base <= BASES["HEX_DEC"]
        assert made.mask.bit_length() <= bits
        return made

    def _made(
        self,
        kind: str,
        abbreviation: str,
        title: str,
        base: int,
        values: Any,
        mask: int | None,
        meaning: str,
    ) -> Kind:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", abbreviation)
        assert title and meaning
        names = {} if values is None else {int(key): text for key, text in values.items()}
        assert all(isinstance(text, str) for text in names.values())
        return Kind(kind, abbreviation, title, base, names, mask or 0, meaning)


@dataclass(frozen=True, eq=False)
class Expert:
    """A ProtoExpert."""

    abbreviation: str
    text: str
    group: str
    severity: str


class Proto:
    """A protocol; a name may be registered once, and fields share one space with experts."""

    def __init__(self, name: str, description: str) -> None:
        assert re.fullmatch(r"[a-z0-9_]+", name) and description
        self.name = name
        self.registered: dict[str, Kind | Expert] = {}
        self.dissector: Any = None
        self.heuristics: dict[str, Any] = {}

    def _register(self, table: Any) -> None:
        for made in table.values():
            assert made.abbreviation.startswith(f"{self.name}.")
            assert made.abbreviation not in self.registered, made.abbreviation
            self.registered[made.abbreviation] = made

    fields = property(fset=_register)
    experts = property(fset=_register)

    def register_heuristic(self, parent: str, function: Any) -> None:
        assert parent not in self.heuristics
        self.heuristics[parent] = function


class TvbRange:
    """Some captured bytes."""

    def __init__(self, data: bytes, number: Number) -> None:
        self.data = data
        self.number = number

    def bitfield(self, position: int, bits: int) -> float:
        assert 1 <= bits <= 32, "more are a UInt64"
        behind = 8 * len(self.data) - position - bits
        assert position >= 0 and behind >= 0, "Requested bitfield out of range"
        value = int.from_bytes(self.data, "big") >> behind & ((1 << bits) - 1)
        return self.number(value)


class Tvb:
    """A datagram: what was captured of it, and how long it was on the wire."""

    def __init__(self, captured: bytes, reported: int, number: Number) -> None:
        self.captured = captured
        self.reported = reported
        self.number = number

    def len(self) -> float:
        return self.number(len(self.captured))

    def reported_len(self) -> float:
        return self.number(self.reported)

    def range(self, offset: float, length: float) -> TvbRange:
        return TvbRange(self.raw(offset, length), self.number)

    def raw(self, offset: float, length: float) -> bytes:
        start, stop = int(offset), int(offset + length)
        assert 0 <= start <= stop <= len(self.captured), "Range is out of bounds"
        return self.captured[start:stop]


@dataclass(eq=False)
class TreeItem:
    """A line of the details, with what is below it."""

    proto: Proto
    kind: Kind | None = None
    value: int | bytes | None = None
    text: str = ""
    generated: bool = False
    below: list[TreeItem] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: Kind | Proto, where: TvbRange, value: float | None = None) -> TreeItem:
        if isinstance(what, Proto):
            made = TreeItem(what, text=what.name)
        else:
            assert self.proto.registered[what.abbreviation] is what
            shown = _value(what, where.data) if value is None else int(value)
            name = what.values.get(shown, "") if isinstance(shown, int) else ""
            made = TreeItem(self.proto, what, shown, f"{what.title}: {name}")
        self.below.append(made)
        return made

    def set_text(self, text: str) -> None:
        self.text = text

    def append_text(self, text: str) -> None:
        self.text += text

    def set_generated(self) -> None:
        self.generated = True

    def add_proto_expert_info(self, expert: Expert, text: str) -> None:
        assert self.proto.registered[expert.abbreviation] is expert
        self.remarks.append((expert.abbreviation, text))

    def everything(self) -> Iterator[TreeItem]:
        yield self
        for item in self.below:
            yield from item.everything()


def _value(kind: Kind, data: bytes) -> int | bytes:
    if kind.kind == "bytes":
        return data
    bits = kind.base if kind.kind == "bool" and kind.mask else int(kind.kind[4:] or 8)
    assert bits == 8 * len(data), f"{kind.abbreviation} of {len(data)} bytes"
    value = int.from_bytes(data, "big")
    if not kind.mask:
        return value
    lowest = kind.mask & -kind.mask
    return (value & kind.mask) // lowest


@dataclass
class Packet:
    """What a datagram became: none of it, if it is not ours."""

    ours: bool
    info: str
    protocol: str
    tree: TreeItem
    conversation: Proto | None

    @property
    def values(self) -> dict[str, int | bytes]:
        """By abbreviation, without the protocol's name."""
        found: dict[str, int | bytes] = {}
        for item in self.tree.everything():
            if item.kind is not None and item.value is not None:
                name = item.kind.abbreviation.partition(".")[2]
                assert name not in found, f"{name} is shown twice"
                found[name] = item.value
        return found

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Expert infos: name without the protocol's, and text."""
        pairs = [pair for item in self.tree.everything() for pair in item.remarks]
        return [(name.rpartition(".")[2], text) for name, text in pairs]

    def text_of(self, name: str) -> str:
        """The line of a field."""
        [text] = [
            item.text
            for item in self.tree.everything()
            if item.kind and item.kind.abbreviation.partition(".")[2] == name
        ]
        return text


class Wireshark:
    """A Lua interpreter with that API, and a dissector in it.

    Parameters
    ----------
    lua : "lua51" to "lua54"
    text : of the dissector
    number : what Wireshark's functions give
    """

    def __init__(self, lua: str, text: str, number: Number = int) -> None:
        self.number = number
        self.ports: dict[tuple[str, int], Proto] = {}
        self.protos: list[Proto] = []
        self._lua = importlib.import_module(f"lupa.{lua}").LuaRuntime()
        for name, value in self._api().items():
            self._lua.globals()[name] = value
        # Only between calls: in Lua 5.1, lupa mixes up its objects where garbage goes within one.
        self._lua.globals().collectgarbage("stop")
        before = set(self._lua.globals())
        self._lua.execute(text)
        assert set(self._lua.globals()) == before, "plugins share their globals: leave none"
        [self.proto] = self.protos

    def _api(self) -> dict[str, Any]:
        return {
            "Proto": self._proto,
            "ProtoField": FieldKinds(),
            "ProtoExpert": SimpleNamespace(new=Expert),
            "base": SimpleNamespace(**BASES),
            "expert": SimpleNamespace(
                group=SimpleNamespace(**{name: name for name in _GROUPS}),
                severity=SimpleNamespace(**{name: name for name in _SEVERITIES}),
            ),
            "DissectorTable": SimpleNamespace(get=self._table),
            "bit": Bits(),
        }

    def _proto(self, name: str, description: str) -> Proto:
        self.protos.append(Proto(name, description))
        return self.protos[-1]

    def _table(self, name: str) -> Any:
        ports = self.ports

        class Table:
            def add(self, port: float, proto: Proto) -> None:
                ports[name, int(port)] = proto

        return Table()

    def dissect(self, captured: bytes, reported: int | None = None) -> Packet:
        """A datagram to the port that is ours."""
        return self._packet(captured, reported, self.proto.dissector)

    def recognise(self, captured: bytes, reported: int | None = None) -> Packet:
        """A datagram to any port."""
        return self._packet(captured, reported, self.proto.heuristics["udp"])

    def _packet(self, captured: bytes, reported: int | None, function: Any) -> Packet:
        tvb = Tvb(captured, len(captured) if reported is None else reported, self.number)
        columns = SimpleNamespace(info="", protocol="UDP")
        pinfo = SimpleNamespace(cols=columns, conversation=None)
        root = TreeItem(self.proto)
        self._lua.globals().collectgarbage("collect")
        taken = function(tvb, pinfo, root)
        if taken is not True and taken is not False:  # a dissector gives how many bytes
            assert taken in (0, len(captured))
        assert bool(taken) == bool(root.below)
        return Packet(bool(taken), columns.info, columns.protocol, root, pinfo.conversation)


class Bits:
    """The library ``bit``: 32 bits, signed."""

    def band(self, one: float, two: float) -> int:
        return _signed(int(one) & int(two))

    def bxor(self, one: float, two: float) -> int:
        return _signed(_unsigned(one) ^ _unsigned(two))

    def bnot(self, one: float) -> int:
        return _signed(~int(one))

    def rshift(self, one: float, by: float) -> int:
        return _signed(_unsigned(one) >> (int(by) & 31))


def _unsigned(value: float) -> int:
    return int(value) & 0xFFFFFFFF


def _signed(value: int) -> int:
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
