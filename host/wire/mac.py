# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""MAC addresses as people write them, and as numbers of 48 bits."""

from __future__ import annotations

import re

_FORM = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")

EXAMPLE = "02:00:7f:00:00:01"


def parse_mac(text: str) -> int | None:
    """Read six bytes in hexadecimal with colons between; None if it is something else."""
    return int(text.replace(":", ""), 16) if _FORM.fullmatch(text) else None


def format_mac(mac: int) -> str:
    """The address with colons between its bytes."""
    return mac.to_bytes(6).hex(":")
