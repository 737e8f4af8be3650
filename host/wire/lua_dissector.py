# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire.lua``: a dissector for Wireshark and tshark, written from the header's description.

``dissector.lua`` beside this has what it does; all that it knows of the header is written in front
of it from :mod:`midwire.hw.formats.wire`, so that no offset and no value's name stands in Lua by
hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...hw.formats import wire
from ...hw.formats.fragments import FRAGMENT_STEP
from ...hw.formats.wire import FIELDS, Field
from .missing import GROUP

OLDEST_WIRESHARK = "3.6"
"""Nothing newer than its Lua functions is used."""

PLUGIN_FOLDER = "~/.local/lib/wireshark/plugins"
"""Where Wireshark and tshark look for a user's Lua plugins, on Linux and macOS."""

_LOGIC = Path(__file__).with_name("dissector.lua")
_IN_HEXADECIMAL = {"magic", "request_id", "crc"}
_IN_BYTES = {"model_hash"}
_OF_ANY_VERSION = {"magic", "version"}
_TITLES = {"crc": "CRC-32C", "deadline_us": "Deadline (us)"}


class _Item(NamedTuple):
    """A field of Wireshark's: one of the header, or the bytes that several of them lie in.

    ``first`` and ``size`` are bytes of the header, ``bit`` counts from the first of them.
    """

    name: str
    first: int
    size: int
    kind: str
    shown: str
    meaning: str
    bit: int | None = None
    bits: int | None = None
    mask: int | None = None
    within: str | None = None


def text() -> str:
    """The dissector's Lua, ASCII: what the header is, then what to do with it."""
    [crc] = [f for f in FIELDS if f.name == "crc"]
    numbers = {
        "magic": wire.MAGIC,
        "version": wire.VERSION,
        "header_bytes": wire.HEADER_BYTES,
        "crc_at": crc.offset // 8,
        "tag_bytes": wire.TAG_BYTES,
        "fragment_step": FRAGMENT_STEP,
        "missing": wire.MessageType.MISSING.value,
        "missing_group": GROUP,
        "udp_port": wire.UDP_PORT,
    }
    lines = [
        f"-- Shows midwire's datagrams (wire format {wire.VERSION}) in Wireshark and tshark,",
        f"-- {OLDEST_WIRESHARK} and newer.",
        "--",
        "-- Written by `midwire dissector`: write it again rather than change it.",
        "",
        f"local FORMAT = {_record(**numbers)}",
        "local VALUES = {",
        *(f"  {name} = {{ {_names(name)} }}," for name in wire.ENUMS),
        "}",
        "local FIELDS = {",
        *(f"  {_row(item)}," for item in _items()),
        "}",
        "",
    ]
    return "\n".join(lines) + "\n" + _LOGIC.read_text("utf-8")


def _names(field: str) -> str:
    members = wire.ENUMS[field]
    return ", ".join(f"[{member.value}] = {_quoted(member.name.lower())}" for member in members)


def _row(item: _Item) -> str:
    title = _TITLES.get(item.name, item.name.replace("_", " ").capitalize())
    return _record(
        name=item.name,
        title=title,
        kind=item.kind,
        shown=_Code(item.shown),
        first=item.first,
        size=item.size,
        bit=item.bit,
        bits=item.bits,
        mask=item.mask,
        within=item.within,
        meaning=item.meaning.replace("`", ""),
        of_any_version=item.name in _OF_ANY_VERSION or None,
    )


class _Code(str):
    """Lua that is not to be quoted."""


def _record(**values: str | int | None) -> str:
    """A table; what is None is left out."""
    entries = (f"{key} = {_literal(value)}" for key, value in values.items() if value is not None)
    return f"{{ {', '.join(entries)} }}"


def _literal(value: str | int) -> str:
    if isinstance(value, _Code):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower()


def _quoted(words: str) -> str:
    return json.dumps(words)  # printable ASCII is quoted alike in JSON and Lua


def _items() -> Iterator[_Item]:
    """In the order on the wire; bytes before the fields in them."""
    for run in _runs(FIELDS):
        if len(run) > 1:
            yield from _shared(run)
        else:
            [field] = run
            yield _Item(
                field.name,
                field.offset // 8,
                field.bits // 8,
                "bytes" if field.name in _IN_BYTES else f"uint{field.bits}",
                _base(field),
                field.meaning,
                bit=0,
                bits=field.bits,
            )


def _runs(fields: Iterable[Field]) -> Iterator[list[Field]]:
    """Neighbouring fields that fill whole bytes together, each as short as can be."""
    run: list[Field] = []
    for field in fields:
        run.append(field)
        if (field.offset + field.bits) % 8 == 0:
            yield run
            run = []


def _shared(run: list[Field]) -> Iterator[_Item]:
    """Bytes of several fields, which are named by the reserved bits among them; then the fields."""
    start, bits = run[0].offset, sum(field.bits for field in run)
    first, size = start // 8, bits // 8
    [reserved] = [field for field in run if field.fixed]
    name = reserved.name.removeprefix("reserved_")
    yield _Item(name, first, size, f"uint{bits}", "base.HEX", f"all of {name}")
    for field in run:
        below = start + bits - field.offset - field.bits
        yield _Item(
            field.name,
            first,
            size,
            "bool" if field.bits == 1 else f"uint{bits}",
            str(bits) if field.bits == 1 else _base(field),
            field.meaning,
            bit=field.offset - start,
            bits=field.bits,
            mask=(1 << field.bits) - 1 << below,
            within=name,
        )


def _base(field: Field) -> str:
    if field.name in _IN_BYTES:
        return "base.NONE"
    reserved = field.name.startswith("reserved")
    return "base.HEX" if reserved or field.name in _IN_HEXADECIMAL else "base.DEC"
