# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a report shows, read from a manifest and checked: anybody may have written that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...hw.errors import BundleError
from ...hw.formats.bundle import Bundle, Manifest
from .histograms import Histogram


@dataclass(frozen=True)
class ReportLayer:
    """One integer node of the slice.

    Attributes
    ----------
    sources : names of the ONNX nodes that it stands for
    cycles : of an inference, in which it is busy
    span : cycles of a lone inference in which its first beat goes in and its last one leaves, from
        the slice's first; None in a bundle that does not say
    inputs, outputs : names of tensors
    sqnr_db : None where ``sqnr`` is no number
    """

    name: str
    kernel: str
    sources: tuple[str, ...]
    macs: int
    strategy: str
    pe: int
    simd: int
    cycles: int
    span: tuple[int, int] | None
    accumulator_bits: int
    finishers: tuple[str, ...]
    sqnr_db: float | None
    sqnr: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def relative_error(self) -> float | None:
        """Root of noise over signal power, as a fraction; None where there is no number."""
        return None if self.sqnr_db is None else float(10 ** (-self.sqnr_db / 20))


@dataclass(frozen=True)
class ReportFifo:
    """A FIFO between two layers (``""`` is the border of the slice); ``depth`` in beats."""

    source: str
    sink: str
    depth: int
    bits: int


@dataclass(frozen=True)
class Link:
    """A tensor on its way between rows of the graph: 0 is the edge part, 1 the first layer, and
    behind the last layer comes the cloud part.
    """

    tensor: str
    source: int
    sink: int


@dataclass(frozen=True)
class Resource:
    """How many of something are used, and how many the device has (None: it does not say)."""

    name: str
    used: int
    of: int | None


@dataclass(frozen=True)
class ReportPoint:
    """What the layers would take at an interval in cycles: the cheapest that keep it.

    ``share`` is the sum of the shares of the device's LUTs, flip-flops, DSP blocks and block RAM,
    which is what the compiler compares by; None where the device is not known.
    """

    interval: int
    used: Mapping[str, int]
    share: float | None


@dataclass(frozen=True)
class ReportFacts:
    """All that a page shows.

    ``front`` is the Pareto front, fastest first; ``own`` is the bundle itself, as a point of that
    kind, FIFOs and lane adapters included; ``errors`` are histograms by tensors' names.
    """

    manifest: Manifest
    sha256: str
    layers: tuple[ReportLayer, ...]
    fifos: tuple[ReportFifo, ...]
    edges: tuple[Link, ...]
    resources: tuple[Resource, ...]
    macs_share: float
    device: str
    front: tuple[ReportPoint, ...] = ()
    own: ReportPoint | None = None
    errors: Mapping[str, Histogram] = field(default_factory=dict)

    @property
    def interval(self) -> int:
        """Cycles per inference, at least 1."""
        return max(1, self.manifest.cycles_per_inference)

    def occupancy(self, layer: ReportLayer) -> float:
        """Share of the interval in which a layer is busy."""
        return layer.cycles / self.interval

    @property
    def slowest(self) -> int:
        """The most cycles that a layer needs: whoever needs them sets the pace."""
        return max((layer.cycles for layer in self.layers), default=0)


def facts_of(bundle: Bundle) -> ReportFacts:
    """What a report shows of a bundle.

    Raises
    ------
    BundleError
        If the manifest's layers, FIFOs or device are not what this version of midwire writes.
    """
    manifest = bundle.manifest
    try:
        layers = tuple(_layers(manifest))
        return ReportFacts(
            manifest=manifest,
            sha256=bundle.sha256,
            layers=layers,
            fifos=tuple(_fifo(record) for record in manifest.fifos),
            edges=tuple(_edges(manifest, layers)),
            resources=tuple(_resources(manifest)),
            macs_share=_number(manifest.slice, "macs_share") or 0.0,
            device=_text(manifest.device, "name") if manifest.device else "",
            front=tuple(_point(manifest, record) for record in manifest.pareto),
            own=_own_point(manifest),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(
            "the manifest's layers cannot be shown",
            where=str(bundle.root),
            expected="layers, FIFOs and a device as this version of midwire writes them",
            found=f"{type(error).__name__}: {error}",
            remedy="Compile the bundle again",
        ) from error


def _layers(manifest: Manifest) -> Iterator[ReportLayer]:
    steps = {step.name: step for step in manifest.steps}
    for record in manifest.layers:
        step = steps[_text(record, "name")]
        spanned = "first_in" in record and "last_out" in record
        yield ReportLayer(
            name=step.name,
            kernel=_text(record, "kernel"),
            sources=_texts(record["sources"]),
            macs=_count(record, "macs"),
            strategy=_text(record, "strategy"),
            pe=_count(record, "pe"),
            simd=_count(record, "simd"),
            cycles=_count(record, "cycles"),
            span=(_count(record, "first_in"), _count(record, "last_out")) if spanned else None,
            accumulator_bits=_count(record, "accumulator_bits"),
            finishers=_texts(record["finishers"]),
            sqnr_db=_number(record, "sqnr_db"),
            sqnr=_text(record, "sqnr"),
            inputs=_texts(step.inputs),
            outputs=_texts(step.outputs),
        )


def _fifo(record: Mapping[str, Any]) -> ReportFifo:
    return ReportFifo(
        _text(record, "source"),
        _text(record, "sink"),
        _count(record, "depth"),
        _count(record, "bits"),
    )


def _edges(manifest: Manifest, layers: tuple[ReportLayer, ...]) -> Iterator[Link]:
    """What every layer and the cloud part read; what no layer makes comes from the edge part."""
    makers = {name: row for row, layer in enumerate(layers, 1) for name in layer.outputs}
    readers = [*(layer.inputs for layer in layers), _texts(manifest.slice.get("roots_out", ()))]
    for row, names in enumerate(readers, 1):
        for name in dict.fromkeys(names):
            source = makers.get(name, 0)
            if source >= row:
                raise ValueError(f"layer {row} reads {name!r}, which layer {source} makes")
            yield Link(name, source, row)


_LABELS = {
    "lut": "LUT as logic",
    "lutram": "LUT as memory",
    "ff": "Flip-flops",
    "dsp": "DSP blocks",
    "bram": "Block RAM, 18 kbit",
}


def _resources(manifest: Manifest) -> Iterator[Resource]:
    order = [*(name for name in _LABELS if name in manifest.resources)]
    order += sorted(set(manifest.resources) - set(order))
    for name in order:
        key = "lut" if name == "lutram" else name  # a device's LUTs serve as both
        of = _count(manifest.device, key) if key in manifest.device else None
        yield Resource(_LABELS.get(name, name), _count(manifest.resources, name), of)


def _own_point(manifest: Manifest) -> ReportPoint | None:
    """The bundle as a point, if it has a front to compare with."""
    if not manifest.pareto or not _LABELS.keys() <= manifest.resources.keys():
        return None
    record = {**manifest.resources, "interval": manifest.cycles_per_inference}
    return _point(manifest, record)


def _point(manifest: Manifest, record: Mapping[str, Any]) -> ReportPoint:
    used = {name: _count(record, name) for name in _LABELS}
    device = manifest.device
    known = [name for name in _LABELS if name in device]
    needed = {**used, "lut": used["lut"] + used["lutram"]}
    shares = [needed[name] / max(1, _count(device, name)) for name in known]
    return ReportPoint(max(1, _count(record, "interval")), used, sum(shares) if known else None)


def _count(record: Mapping[str, Any], key: str) -> int:
    value = record[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"{key} must be a count, not {value!r}")
    return value


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record[key]
    if value is None:
        return None
    # A ratio of two float64 powers, in dB, is within some thousands.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e4:
        raise ValueError(f"{key} must be a number, not {value!r}")
    return float(value)


def _text(record: Mapping[str, Any], key: str) -> str:
    return _texts([record[key]])[0]


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise TypeError(f"expected names, not {values!r}")
    return tuple(values)
