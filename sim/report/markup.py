# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG elements from Python values.

Names in a page come out of somebody's model. So whatever is a plain ``str`` is escaped here, in
content and in attributes alike; only what :func:`element` itself made is markup.
"""

from __future__ import annotations

import html

from ...hw.console import visible


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | int | float | None
"""What may stand in an element: markup, text, numbers; None is nothing."""


def escaped(content: Content) -> Markup:
    """Markup for a piece of content."""
    if isinstance(content, Markup):
        return content
    if content is None:
        return Markup()
    if isinstance(content, float):
        content = f"{content:g}"
    return Markup(html.escape(visible(str(content)), quote=True))


def element(tag: str, *content: Content, **attributes: Content) -> Markup:
    """``<tag attributes>content</tag>``.

    An attribute's name has hyphens for underscores, and none at its end (``class_``); one that is
    None is left out.
    """
    names = (name.rstrip("_").replace("_", "-") for name in attributes)
    pairs = zip(names, attributes.values(), strict=True)
    given = "".join(f' {name}="{escaped(value)}"' for name, value in pairs if value is not None)
    return Markup(f"<{tag}{given}>{joined(*content)}</{tag}>")


def joined(*content: Content) -> Markup:
    """Pieces of content, one after the other."""
    return Markup("".join(escaped(piece) for piece in content))


def shortened(text: str, letters: int) -> str:
    """A name of so many letters at most: its middle left out, for both ends tell names apart."""
    text = visible(text)
    if len(text) <= letters:
        return text
    tail = (letters - 1) // 2
    return f"{text[: letters - 1 - tail]}…{text[-tail:]}"
