# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Plain text never becomes markup."""

from __future__ import annotations

from midwire.sim.report.markup import element, joined, shortened


def test_text_is_escaped_and_elements_are_not() -> None:
    inner = element("b", "<i>&", class_='"x"')
    assert inner == '<b class="&quot;x&quot;">&lt;i&gt;&amp;</b>'
    assert element("p", inner, 3, None, 0.5, stop_color=None) == f"<p>{inner}30.5</p>"
    assert joined("a<", inner) == f"a&lt;{inner}"


def test_what_does_not_show_is_spelled_out() -> None:
    assert element("p", "a\0b") == "<p>a\\u0000b</p>"


def test_shortened_keeps_both_ends() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 7) == "abc…ijk"
    assert len(shortened("\0" * 100, 20)) == 20
