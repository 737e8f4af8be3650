# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The page: one file without scripts, that asks for nothing from anywhere.

Its own policy forbids a browser to load or run anything, so that even a mistake in escaping shows
text and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files

from ...hw.formats.tensor import TensorSpec
from .facts import ReportFacts, ReportLayer
from .markup import Content, Markup, element, joined, shortened
from .sections import SECTIONS

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_TITLE_LETTERS = 60


def page(facts: ReportFacts) -> str:
    """The report as HTML."""
    name = facts.manifest.name
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", f"{shortened(name, _TITLE_LETTERS)}: midwire report"),
        element("style", Markup(style)),
    )
    sections = (section(facts) for section in SECTIONS)
    main = element("main", *_head(facts), *(found for found in sections if found is not None))
    body = element("body", main, _foot(facts))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _head(facts: ReportFacts) -> Iterator[Markup]:
    manifest = facts.manifest
    part = facts.device or manifest.target
    yield element("h1", manifest.name)
    yield element(
        "p",
        "The slice from ",
        _names(manifest.inputs),
        " to ",
        _names(manifest.outputs),
        f", {facts.macs_share:.1%} of the model's multiply-accumulates, for {part}.",
    )
    yield element("dl", *(_figure(*figure) for figure in _figures(facts)), class_="figures")


def _names(tensors: Sequence[TensorSpec]) -> Markup:
    shown = [element("code", shortened(tensor.name, 60), title=tensor.name) for tensor in tensors]
    return joined(*(joined(", " if index else "", name) for index, name in enumerate(shown)))


def _figures(facts: ReportFacts) -> Iterator[tuple[str, str, str]]:
    """What it is, the figure, and what that comes to."""
    manifest = facts.manifest
    rate = manifest.clock_mhz * 1e6 / facts.interval
    microseconds = manifest.latency_cycles / manifest.clock_mhz
    macs = sum(layer.macs for layer in facts.layers)
    clock = f"at {manifest.clock_mhz:g} MHz"
    yield "Interval", f"{manifest.cycles_per_inference:,} cycles", f"{rate:,.0f} a second {clock}"
    yield "Latency", f"{manifest.latency_cycles:,} cycles", f"{microseconds:,.1f} µs {clock}"
    yield "Layers", f"{len(facts.layers)}", f"{macs:,} multiply-accumulates"
    busy = sum(_lanes(layer) * layer.cycles for layer in facts.layers)
    lanes = sum(_lanes(layer) for layer in facts.layers)
    share = busy / (lanes * facts.interval) if lanes else 0.0
    yield "Products at a time", f"{lanes:,}", f"busy in {share:.0%} of all cycles"
    yield "Signal to noise", manifest.sqnr, "of the slice's worst output"


def _lanes(layer: ReportLayer) -> int:
    """Multiply-accumulates that a layer does at a time."""
    return layer.pe * layer.simd if layer.macs else 0


def _figure(term: str, figure: str, more: str) -> Markup:
    content: list[Content] = [
        element("dt", term),
        element("dd", figure, class_="figure"),
        element("dd", more, class_="more"),
    ]
    return element("div", *content)


def _foot(facts: ReportFacts) -> Markup:
    manifest = facts.manifest
    version = manifest.tool.get("midwire", "")
    return element(
        "footer",
        f"Bundle {facts.sha256[:16]} of the model with SHA-256 {manifest.model_sha256}, compiled "
        f"by midwire {version}. Cycles are exact for streams without pauses; resources are "
        f"estimates; {manifest.clock_mhz:g} MHz is what {manifest.target} is meant to reach, which "
        "no placer has confirmed.",
    )
