# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page beside an adapter: how it is built into its shell."""

from __future__ import annotations

from importlib.resources import files

from .port_shape import PortShape


def notes(family: str, title: str, top: str, prefix: str, port: PortShape) -> str:
    """Markdown text; ``family`` is whose shell it is."""
    parts = [
        files("midwire.hw").joinpath(f"templates/{name}.md").read_text("utf-8")
        for name in ("shell", f"shell_{family}")
    ]
    bits = 8 * port.beat_bytes
    return "\n".join(parts).format(title=title, top=top, prefix=prefix, bits=bits)
