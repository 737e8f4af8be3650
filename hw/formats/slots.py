# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Request slots of a NIC: how many there are, and what a request is remembered by.

One definition for the RTL (:mod:`midwire.hw.nic`), for the C++ reference (by ``formats.h``) and for
the docs. No Amaranth here.
"""

from __future__ import annotations

from .fragments import FRAGMENT_STEP

SLOT_MEMORY_BYTES = 256 * 1024
"""Of all slots of all slices together, as far as each has neither too few nor too many of them."""

MIN_SLOTS, MAX_SLOTS = 4, 64

SHARE = 4
"""A sender holds less than so many times the slots that are free but for one: the dynamic threshold
of shared buffers (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998)."""

DECISIONS = 256
"""Places for what was decided on requests, by the low bits of their fingerprints."""

FINGERPRINT_BITS = 24

OVERTAKERS = 4
"""A fragment counts as lost when so many that were sent after it have come: one more than TCP's
duplicate acknowledgements (RFC 5681), as a network may well let three pass."""

MAX_ASKS = 7
"""A sender is asked so often for what is missing since the last new fragment of a request."""

QUICK_ASKS = 2
"""Before those, once the last fragment of each tensor is here: after a quarter of ``ask_us`` and a
half. The sender has no more to send, and one fragment overtakes another in far less."""

PRESSED_ASKS = 3
"""While others want slots, a request is given up after ``ask_us << PRESSED_ASKS``."""


def slots_of(input_bytes: int, cores: int = 1) -> int:
    """Request slots of a slice that takes so many bytes, all input tensors together; one of
    ``cores`` slices that share the memory."""
    room = -(-input_bytes // FRAGMENT_STEP) * FRAGMENT_STEP
    return min(max(SLOT_MEMORY_BYTES // cores // room, MIN_SLOTS), MAX_SLOTS)


def request_fingerprint(request_id: int, src_ip: int = 0, src_port: int = 0) -> int:
    """What a request is remembered by: 24 bits.

    The 112 bits of id (64), source address (32) and port (16), in this order, as one number whose
    24-bit digits are XORed. Of an IPv6 address, the four 32-bit words are XORed before. A request
    of several tensors is named by its id alone.
    """
    address = 0
    while src_ip:
        address ^= src_ip & 0xFFFF_FFFF
        src_ip >>= 32
    number = request_id << 48 | address << 16 | src_port
    found = 0
    while number:
        found ^= number & ((1 << FINGERPRINT_BITS) - 1)
        number >>= FINGERPRINT_BITS
    return found
