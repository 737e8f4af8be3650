# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page consists of, in order: a function a section, which gives None if it has nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from . import charts, drawing, plot
from .facts import ReportFacts, ReportLayer, ReportPoint, Resource
from .histograms import Histogram
from .markup import Content, Markup, element


def _section(title: str, *content: Content) -> Markup:
    return element("section", element("h2", title), *content)


def _scroll(label: str, content: Markup, kind: str = "scroll") -> Markup:
    """What may be wider than the page: reachable with the keyboard, and named for who hears it."""
    return element("div", content, class_=kind, tabindex=0, role="region", aria_label=label)


def _table(caption: str, heads: Sequence[str], rows: Iterable[Markup], numbers: str = "") -> Markup:
    """``numbers`` has the indices of the columns that hold figures."""
    columns = [int(index) for index in numbers.split()]
    cells = (
        element("th", head, scope="col", class_="number" if index in columns else None)
        for index, head in enumerate(heads)
    )
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *cells)),
        element("tbody", *rows),
    )
    return _scroll(caption, table)


def _name(name: str) -> Markup:
    """The cell that says which row it is."""
    return element("th", _cut(name), scope="row")


def _cut(name: str) -> Markup:
    """A name that is cut by its style, so that copying it gives the whole."""
    return element("span", name, class_="name", title=name)


def _number(content: Content) -> Markup:
    return element("td", content, class_="number")


def layer_graph(facts: ReportFacts) -> Markup:
    """The graph of the slice."""
    words = "Each box is a layer in hardware; the bar in it is the share of the interval in which "
    words += "it is busy. Point at a box or a line for the whole name."
    return _section(
        "Graph",
        element("p", words, class_="quiet"),
        _scroll("Graph of the slice", drawing.draw(facts), "scroll tall"),
    )


def layer_table(facts: ReportFacts) -> Markup:
    """A row a layer."""
    heads = "# Layer Kernel MACs Strategy PExSIMD Cycles Occupancy Bits Finisher SQNR"
    rows = (_layer_row(facts, index, layer) for index, layer in enumerate(facts.layers, 1))
    caption = (
        "Occupancy is cycles over the interval; the slowest are in bold. Bits are those of an "
    )
    caption += "accumulator."
    return _section("Layers", _table(caption, heads.split(), rows, "0 3 5 6 8 10"))


def _layer_row(facts: ReportFacts, index: int, layer: ReportLayer) -> Markup:
    return element(
        "tr",
        _number(index),
        _name(layer.name),
        element("td", layer.kernel),
        _number(f"{layer.macs:,}"),
        element("td", layer.strategy),
        _number(f"{layer.pe} x {layer.simd}"),
        _number(f"{layer.cycles:,}"),
        _busy(facts, layer),
        _number(layer.accumulator_bits),
        element("td", _finishers(layer), class_="short"),
        _number(layer.sqnr),
    )


def _finishers(layer: ReportLayer) -> str:
    return ", ".join(dict.fromkeys(layer.finishers)).replace("_", " ")


def _kind(facts: ReportFacts, layer: ReportLayer) -> str:
    """The class of a bar: the slowest layers, which set the pace, look different."""
    return "slow" if layer.cycles == facts.slowest else "bar"


def _busy(facts: ReportFacts, layer: ReportLayer) -> Markup:
    """The cell of a layer's occupancy."""
    share, kind = facts.occupancy(layer), _kind(facts, layer)
    drawn = charts.bar(share, f"{layer.name} is busy in {share:.1%} of the interval", kind)
    figure = element("span", f"{share:.1%}", class_=kind)
    return element("td", element("div", drawn, figure), class_="busy")


def losses(facts: ReportFacts) -> Markup | None:
    """Bars of each layer's error, if any was measured."""
    errors = [layer.relative_error for layer in facts.layers]
    worst = max((error for error in errors if error is not None), default=0.0)
    if not worst:
        return None
    rows = (
        element(
            "tr",
            _name(layer.name),
            element("td", _loss(layer, error / worst) if error is not None else "", class_="wide"),
            _number("" if error is None else f"{100 * error:#.3g} %"),
            _number(layer.sqnr),
        )
        for layer, error in zip(facts.layers, errors, strict=True)
    )
    caption = (
        "Relative error of each layer's result, with all layers before it in integers too: the "
        "root of noise power over signal power."
    )
    heads = ["Layer", "Error", "Relative", "SQNR"]
    return _section("Loss", _table(caption, heads, rows, "2 3"))


def _loss(layer: ReportLayer, share: float) -> Markup:
    return charts.bar(share, f"{layer.name}: {layer.sqnr}", "loss")


def histograms(facts: ReportFacts) -> Markup | None:
    """How the errors of each layer are spread, if the bundle has inputs to run."""
    rows = [
        _histogram_row(layer, found)
        for layer in facts.layers
        if (found := facts.errors.get(layer.outputs[0])) is not None
    ]
    if not rows:
        return None
    samples = next(iter(facts.errors.values())).samples
    caption = (
        f"Errors against the model's own layers on {samples} of the bundle's golden inputs, in "
        "steps of the result's grid; both start at the slice's rounded inputs. Heights are roots "
        "of counts. A bar at an end has all beyond it, too."
    )
    heads = ["Layer", "Distribution", "From, to", "Bias", "Deviation", "Largest"]
    return _section("Errors", _table(caption, heads, rows, "2 3 4 5"))


def _histogram_row(layer: ReportLayer, found: Histogram) -> Markup:
    title = f"{layer.name}: bias {found.bias:+.3g}, deviation {found.deviation:.3g} steps"
    return element(
        "tr",
        _name(layer.name),
        element("td", plot.histogram(found, title)),
        _number(f"±{found.reach:.3g}"),
        _number(f"{round(found.bias, 3) + 0.0:+.3f}"),
        _number(f"{found.deviation:.3f}"),
        _number(f"{found.largest:.3g}"),
    )


def pareto(facts: ReportFacts) -> Markup | None:
    """What other rates would cost."""
    spots = [(float(p.interval), p.share) for p in facts.front if p.share]
    if len(spots) < 2:
        return None
    own = facts.own
    at = (float(own.interval), own.share) if own is not None and own.share else None
    words = (
        "Each point is the cheapest choice of layers that keeps its interval. The cost is the sum "
        f"of the shares of {facts.device}'s LUTs, flip-flops, DSP blocks and block RAM. "
        "Points leave out lane adapters and FIFOs, which are part of this bundle's."
    )
    drawn = plot.front(spots, at, "Cost over interval: the Pareto front, and this bundle")
    rows = [_point_row(facts, point, "") for point in facts.front]
    if own is not None:
        rows.append(_point_row(facts, own, "this bundle"))
    heads = ["Cycles", "A second", "LUT", "LUT memory", "Flip-flops", "DSP", "BRAM", "Cost", ""]
    caption = "The same in figures, estimated; pass one of the rates to compile --rate."
    return _section(
        "Pareto front",
        element("p", words, class_="quiet"),
        _scroll("Plot of the Pareto front", drawn),
        _table(caption, heads, rows, "0 1 2 3 4 5 6 7"),
    )


def _point_row(facts: ReportFacts, point: ReportPoint, remark: str) -> Markup:
    rate = facts.manifest.clock_mhz * 1e6 / point.interval
    used = (_number(f"{point.used[key]:,}") for key in ("lut", "lutram", "ff", "dsp", "bram"))
    return element(
        "tr",
        element("th", f"{point.interval:,}", scope="row", class_="number"),
        _number(f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"),
        *used,
        _number("" if point.share is None else f"{point.share:.2%}"),
        element("td", remark),
    )


def timeline(facts: ReportFacts) -> Markup | None:
    """When each layer works on a lone inference."""
    if not any(layer.span for layer in facts.layers):
        return None
    total = max(1, facts.manifest.latency_cycles)
    marks = tuple(
        begin / total
        for begin in range(
            facts.interval, min(total, facts.interval * (charts.MAX_MARKS + 1)), facts.interval
        )
    )
    rows = (_timeline_row(facts, layer, total, marks) for layer in facts.layers if layer.span)
    caption = (
        f"One inference alone, {total:,} cycles from its first beat to its last: from a layer's "
        "first beat in to its last beat out. "
    )
    if marks:
        caption += "At dashed lines the next inferences may enter. "
    caption += "Busy is the share of the interval when inferences follow each other."
    heads = ["Layer", "Cycles of one inference", "From", "To", "Busy"]
    return _section("Schedule", _table(caption, heads, rows, "2 3"))


def _timeline_row(
    facts: ReportFacts, layer: ReportLayer, total: int, marks: tuple[float, ...]
) -> Markup:
    begin, end = layer.span or (0, 0)
    title = f"{layer.name}: cycles {begin:,} to {end:,}"
    ends = begin / total, (end + 1) / total
    drawn = charts.span(*ends, title, kind=_kind(facts, layer), marks=marks)
    return element(
        "tr",
        _name(layer.name),
        element("td", drawn, class_="wide"),
        _number(f"{begin:,}"),
        _number(f"{end:,}"),
        _busy(facts, layer),
    )


def resources(facts: ReportFacts) -> Markup | None:
    """What the slice needs of its device."""
    if not facts.resources:
        return None
    part = facts.device or f"a part of {facts.manifest.target}"
    caption = f"Estimated for the slice alone, as shares of {part}."
    heads = ["Resource", "Share of the device", "Used", "Of", "Percent"]
    rows = (_resource_row(found) for found in facts.resources)
    return _section("Resources", _table(caption, heads, rows, "2 3 4"))


def _resource_row(found: Resource) -> Markup:
    share = found.used / found.of if found.of else None
    drawn = "" if share is None else charts.bar(share, f"{found.name}: {share:.2%}")
    return element(
        "tr",
        element("th", found.name, scope="row"),
        element("td", drawn, class_="wide"),
        _number(f"{found.used:,}"),
        _number(f"{found.of:,}" if found.of else "unknown"),
        _number("" if share is None else f"{share:.2%}"),
    )


def fifos(facts: ReportFacts) -> Markup | None:
    """FIFOs between layers, if there are any."""
    if not facts.fifos:
        return None
    rows = (
        element(
            "tr",
            _name(fifo.source or "the edge part"),
            element("td", _cut(fifo.sink or "the cloud part")),
            _number(f"{fifo.depth:,}"),
            _number(f"{fifo.bits} bits"),
            _number(f"{fifo.depth * fifo.bits / 8192:,.2f} KiB"),
        )
        for fifo in sorted(facts.fifos, key=lambda fifo: -fifo.depth * fifo.bits)
    )
    caption = "The least depths that keep interval and latency; largest first."
    heads = ["From", "To", "Depth in beats", "Beat", "Size"]
    return _section("FIFOs", _table(caption, heads, rows, "2 3 4"))


SECTIONS: tuple[Callable[[ReportFacts], Markup | None], ...] = (
    resources,
    layer_graph,
    layer_table,
    timeline,
    losses,
    histograms,
    fifos,
    pareto,
)
