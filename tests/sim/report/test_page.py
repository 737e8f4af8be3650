# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page stands alone, shows hostile names as text, and can be read by everybody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from midwire.sim.report.facts import ReportFacts
from midwire.sim.report.page import page

from .conftest import SPEC, STEPS, layer

EVIL = "</title></svg><script>alert(1)</script><img src=//evil.example onerror='x'>\"&\u202e"
VOID = {"meta"}


class Outline(HTMLParser):
    """Elements, attributes and the text in the page; fails where ends do not match starts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.untitled = 0
        self._fresh = False
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if self._open[-1:] == ["svg"] and self._fresh:
            self.untitled += tag != "title"
        self._fresh = tag == "svg"
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_every_section_is_there(facts: Callable[..., ReportFacts]) -> None:
    text = page(facts())
    titles = ["Resources", "Graph", "Layers", "Schedule", "Loss", "FIFOs", "Pareto front"]
    assert re.findall("<h2>(.*?)</h2>", text) == titles
    shown = " ".join(Outline(text).text)
    for figure in ("400 cycles", "625,000 a second", "600 cycles", "2.4 µs", "75.0%", "part7"):
        assert figure in shown
    assert "12.50%" in shown and "50.00%" in shown  # of the LUTs, of the DSP blocks
    assert "1.00 %" in shown and "31.6 %" in shown  # relative errors of the first and last layer


def test_a_slice_without_layers_and_measures_is_a_page(facts: Callable[..., ReportFacts]) -> None:
    bare = facts(layers=(), steps=(), resources={}, fifos=(), device={}, cycles_per_inference=0)
    assert re.findall("<h2>(.*?)</h2>", page(bare)) == ["Graph", "Layers"]


def test_names_of_a_model_are_text(facts: Callable[..., ReportFacts]) -> None:
    evil = facts(
        name=EVIL,
        layers=tuple(layer(n, kernel=EVIL, sources=[EVIL], sqnr=EVIL) for n in STEPS),
        device={"name": EVIL, "lut": 8000, "ff": 9, "dsp": 12, "bram": 4},
        resources={EVIL: 3},
        sqnr=EVIL,
        target=EVIL,
        tool={"midwire": EVIL},
    )
    plain, found = Outline(page(facts())), Outline(page(evil))
    assert set(found.tags) == set(plain.tags)
    assert EVIL.replace("\u202e", "\\u202e") in found.text
    assert not any(name.startswith("on") for _, name, _ in found.attributes)


def test_nothing_is_loaded_or_run(facts: Callable[..., ReportFacts]) -> None:
    text = page(facts())
    found = Outline(text)
    assert not {"script", "link", "img", "iframe", "object", "use", "a"} & set(found.tags)
    assert not {"src", "href", "style", "action"} & {name for _, name, _ in found.attributes}
    assert "http:" not in text and "https:" not in text and "@import" not in text
    policy = [value for _, name, value in found.attributes if name == "content"][-1]
    assert policy.startswith("default-src 'none'")


def test_charts_have_titles_and_tables_headers(facts: Callable[..., ReportFacts]) -> None:
    text = page(facts())
    found = Outline(text)
    assert found.tags["svg"] > 10 and found.untitled == 0
    assert found.tags["caption"] == found.tags["table"] == found.tags["thead"]
    scopes = [value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == found.tags["th"]
    assert Counter(scopes)["row"] == found.tags["tr"] - found.tags["table"]
    assert ("html", "lang", "en") in found.attributes


def test_marks_where_the_next_inferences_enter(facts: Callable[..., ReportFacts]) -> None:
    assert page(facts(latency_cycles=1300)).count('class="mark"') == 3 * len(STEPS)
    many = page(facts(latency_cycles=10**9, cycles_per_inference=1))
    assert many.count('class="mark"') == 24 * len(STEPS)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of a colour ``#rrggbb``."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough(theme: int) -> None:
    """4.5 for text, 3 for what is drawn (WCAG 2.2, 1.4.3 and 1.4.11)."""
    style = files("midwire.sim.report").joinpath("page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme]))

    def contrast(a: str, b: str) -> float:
        low, high = sorted(luminance(colours[name]) for name in (a, b))
        return (high + 0.05) / (low + 0.05)

    for ink in ("text", "quiet"):
        for paper in ("page", "card", "edge", "cloud", "layer", "region"):
            assert contrast(ink, paper) >= 4.5, (ink, paper)
    for ink in ("bar", "slow", "loss"):
        assert contrast(ink, "track") >= 3, ink
    for ink, paper in (("slow", "card"), ("slow", "region")):
        assert contrast(ink, paper) >= 4.5
    for ink in ("edge-rule", "cloud-rule", "layer-rule", "line"):
        assert contrast(ink, "card") >= 3, ink


def test_names_of_tensors_at_the_cuts_are_text(facts: Callable[..., ReportFacts]) -> None:
    text = page(facts(inputs=(replace(SPEC, name=EVIL),)))
    assert set(Outline(text).tags) == set(Outline(page(facts())).tags)


def test_the_front_shows_this_bundle(facts: Callable[..., ReportFacts]) -> None:
    """Beside its points, in the plot and in the table; without a device there is no plot."""
    text = page(facts(resources={"lut": 9, "lutram": 9, "ff": 9, "dsp": 9, "bram": 9}))
    assert text.count(">this bundle<") == 2
    assert text.count('class="spot"') == 2 and text.count('class="own"') == 1
    assert "Pareto front" not in page(facts(device={}))
