# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steering table of a NIC: how many entries it has, and what they may say.

One definition for the RTL (:mod:`midwire.hw.nic.entries`, which has the rules), for the C++
reference (by ``formats.h``) and for software. No Amaranth here.
"""

from __future__ import annotations

from enum import IntEnum

ENTRIES = 16

ANY_REGION = 0xFFFF
"""Mask of all values that ``region`` has in a header: bit k allows value k."""


class Action(IntEnum):
    """What becomes of the frames of an entry."""

    NONE = 0
    """There is no entry."""
    EXECUTE = 1
    """As without an entry; whatever leaves goes to the entry's next hop."""
    FORWARD = 2
    """Sent on as it is: this NIC is not asked to execute."""
    REDIRECT = 3
    """Declined for policy: the header tells that the path has changed."""
