# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``formats.h``: wire format and registers for C++, written from their only descriptions.

The NIC's packet loop is compiled with it, whichever its datapath, so that no offset, number of a
reason or address of a register stands in C++ by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

from ...hw.formats import actions, csr, headers, slots, wire
from ...hw.formats.fragments import FRAGMENT_STEP, MAX_FRAGMENTS, MAX_MTU, fragment_bytes

NAME = "formats.h"


def _numbers(**values: int) -> Iterator[str]:
    for name, value in values.items():
        yield f"constexpr uint64_t {name} = {value:#x};"


def _namespace(name: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"namespace {name} {{"
    yield from lines
    yield "}"


def _members(kind: type[IntEnum]) -> Iterator[str]:
    yield from _numbers(**{member.name: member.value for member in kind})


def _bool(value: bool) -> str:
    return str(value).lower()


def text() -> str:
    """The header: namespace ``mw`` with fields, reasons, outcomes and registers."""
    registers = csr.REGISTERS
    lines = [
        "#pragma once",
        "#include <cstddef>",
        "#include <cstdint>",
        "namespace mw {",
        *_numbers(
            kMagic=wire.MAGIC,
            kVersion=wire.VERSION,
            kHeaderBytes=wire.HEADER_BYTES,
            kTagBytes=wire.TAG_BYTES,
            kTensor=wire.MessageType.TENSOR,
            kMissing=wire.MessageType.MISSING,
            kFragmentStep=FRAGMENT_STEP,
            kMaxFragments=MAX_FRAGMENTS,
            kMaxFragmentBytes=fragment_bytes(MAX_MTU),
            kShare=slots.SHARE,
            kDecisions=slots.DECISIONS,
            kFingerprintBits=slots.FINGERPRINT_BITS,
            kOvertakers=slots.OVERTAKERS,
            kMaxAsks=slots.MAX_ASKS,
            kQuickAsks=slots.QUICK_ASKS,
            kPressedAsks=slots.PRESSED_ASKS,
            kTableEntries=actions.ENTRIES,
            kTableActions=len(actions.Action),
            kEthertypeIpv4=headers.ETHERTYPE_IPV4,
            kEthertypeIpv6=headers.ETHERTYPE_IPV6,
            kEthertypeVlan=headers.ETHERTYPE_VLAN,
            kEthertypeServiceVlan=headers.ETHERTYPE_SERVICE_VLAN,
            kMaxTags=headers.MAX_TAGS,
            kMinIpv4Bytes=headers.MIN_IPV4_BYTES,
            kIpv6Bytes=headers.IPV6_BYTES,
            kProtocolUdp=headers.PROTOCOL_UDP,
            kHopByHop=headers.HOP_BY_HOP,
            kRouting=headers.ROUTING,
            kDestinationOptions=headers.DESTINATION_OPTIONS,
            kHeadersWithin=headers.HEADERS_WITHIN,
            kStatusBusy=csr.STATUS_BUSY,
            kStatusCollecting=csr.STATUS_COLLECTING,
            kStatusComputing=csr.STATUS_COMPUTING,
        ),
        "struct Field { unsigned offset, bits; };",
        *_namespace(
            "field", (f"constexpr Field {f.name}{{{f.offset}, {f.bits}}};" for f in wire.FIELDS)
        ),
        *_namespace("reason", _members(wire.DeclineReason)),
        *_namespace("action", _members(actions.Action)),
        *_namespace("outcome", _members(csr.FrameOutcome)),
        "struct Register {",
        "    uint32_t offset; unsigned width; uint32_t reset;",
        "    bool writable, command, entry, of_core;",
        "};",
        *_namespace(
            "reg", (f"constexpr size_t {r.name} = {index};" for index, r in enumerate(registers))
        ),
        f"constexpr size_t kRegisterCount = {len(registers)};",
        "constexpr Register kRegisters[] = {",
        *(
            f"{{{r.offset:#x}, {r.width}, {r.reset:#x}, "
            f"{_bool(r.access in {'config', 'model'})}, {_bool(r.access == 'command')}, "
            f"{_bool(r.access == 'entry')}, "
            f"{_bool(r.access == 'model' or r.name in csr.OF_CORE)}}},"
            for r in registers
        ),
        "};",
        "}",
    ]
    return "\n".join(lines) + "\n"
