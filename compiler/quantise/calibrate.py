# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration: what values a float model's tensors take, and the grid that loses least of them."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import helper

from ...hw.accuracy import LABELS, labels_of
from ...hw.formats.npz import key_of, one_by_one, read_npz
from ...hw.formats.tensor import AnyArray
from ...hw.numeric import IntArray
from ...hw.session import Session, open_session, words_of
from ..errors import CalibrationError
from ..ir.graph import Value
from ..load.source import PACKED, Source, elem_type_of, kind_of
from .counted import Counted
from .grids import SAMPLE, FloatArray, Observed

_T = TypeVar("_T")

_REMEDY = "Save it with numpy.savez(path, in0=samples), the first axis counting samples"
_ALONE = "Check that onnxruntime alone runs the model"


def load_samples(
    path: str | os.PathLike[str], inputs: Sequence[Value], batch: int = 1
) -> dict[str, AnyArray]:
    """Read samples of the model's inputs.

    Keys are ``in0, in1, ...`` or the inputs' names; others (labels, reference outputs) are left
    alone. The first axis counts samples, each of which has the model's own batch axis; for one
    inference alone, it may be left out. ``batch`` is that of :class:`~..load.source.Source`.

    Returns
    -------
    For each input's name an array of the input's type and the shape ``(inferences, *shape)``.

    Raises
    ------
    CalibrationError
        If the file is no such file, or an array is missing, or of the wrong shape or type, or holds
        NaN, or the arrays disagree about the number of samples, or an input takes no numbers.
    """
    return _samples_of(_read(path), Path(path), inputs, batch)


def load_labelled(
    path: str | os.PathLike[str], inputs: Sequence[Value], batch: int = 1
) -> tuple[dict[str, AnyArray], IntArray | None]:
    """:func:`load_samples`, and (inferences,) the class of each, if there is a key ``label``.

    Raises
    ------
    CalibrationError
        Also if there are labels, and not one integer for each inference.
    """
    stored = _read(path)
    samples = _samples_of(stored, Path(path), inputs, batch)
    if any(value.name == LABELS for value in inputs):
        return samples, None
    count = len(next(iter(samples.values())))
    return samples, labels_of(stored, count, str(path), CalibrationError)


def _read(path: str | os.PathLike[str]) -> dict[str, AnyArray]:
    return read_npz(path, error=CalibrationError, remedy=_REMEDY)


def _samples_of(
    stored: Mapping[str, AnyArray], file: Path, inputs: Sequence[Value], batch: int
) -> dict[str, AnyArray]:
    if not inputs:
        raise CalibrationError(
            "the model takes no samples",
            where=str(file),
            expected="a model with inputs",
            found="one that computes constants only",
            remedy="Export the model with its inputs",
        )
    keys = [_key(file, index, value, list(stored)) for index, value in enumerate(inputs)]
    samples = {
        value.name: _checked(file, key, stored[key], value, batch)
        for value, key in zip(inputs, keys, strict=True)
    }
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) > 1:
        raise CalibrationError(
            "the inputs have different numbers of samples",
            where=str(file),
            expected="the same first axis for every input",
            found=", ".join(f"{count} of {name!r}" for name, count in counts.items()),
            remedy=_REMEDY,
        )
    return samples


def _key(file: Path, index: int, value: Value, keys: Sequence[str]) -> str:
    key = key_of(value.name, index, keys)
    if key is not None:
        return key
    raise CalibrationError(
        f"there are no samples for the input {value.name!r}",
        where=str(file),
        expected=f"an array called {f'in{index}'!r} or {value.name!r}",
        found=", ".join(repr(key) for key in keys[:8]) or "an empty file",
        remedy=_REMEDY,
    )


def _checked(file: Path, key: str, stored: AnyArray, value: Value, batch: int) -> AnyArray:
    where = f"{file}: array {key!r}"
    target = _type_of(value)
    shape = value.shape
    array = one_by_one(stored, shape, batch) if stored.ndim else None
    if array is None:
        own = (batch * shape[0], *shape[1:]) if shape else ()
        raise CalibrationError(
            "samples of the wrong shape",
            where=where,
            expected=f"[samples, {', '.join(str(d) for d in own)}]",
            found=f"{list(stored.shape)}",
            remedy=f"Give every sample as the model's input takes it, batch {batch}",
        )
    if not len(array):
        raise CalibrationError(
            "no samples",
            where=where,
            expected="at least one sample",
            found="an empty array",
            remedy="Give a few hundred typical samples",
        )
    integer = target.kind in "iu"
    if array.dtype.kind not in ("iub" if integer else "iubf"):
        raise CalibrationError(
            "samples of the wrong type",
            where=where,
            expected=f"{target} values",
            found=f"{array.dtype}",
            remedy="Convert them as the model's input takes them",
        )
    if integer:
        info, low, high = np.iinfo(target), int(array.min()), int(array.max())
        if low < info.min or high > info.max:
            raise CalibrationError(
                "samples out of range",
                where=where,
                expected=f"{target} values, {info.min} to {info.max}",
                found=f"{low} to {high}",
                remedy="Quantise them with the scale and zero point of the model's input",
            )
        return array.astype(target)
    with np.errstate(over="ignore"):
        converted = array.astype(target)
    bad = int(np.count_nonzero(~np.isfinite(converted)))
    if bad:
        first = int(np.argwhere(~np.isfinite(converted))[0][0])
        raise CalibrationError(
            "samples with NaN or infinity",
            where=where,
            expected="finite numbers",
            found=f"{bad} that are not, the first in sample {first}",
            remedy="Clean the data",
        )
    return converted


def _type_of(value: Value) -> np.dtype[Any]:
    """The numpy type of an input; strings and the like have none that samples could be given in."""
    try:
        return np.dtype(value.dtype)
    except TypeError:
        raise CalibrationError(
            "the model has an input that takes no samples",
            where=f"input {value.name!r}",
            expected="an input of numbers",
            found=f"{value.dtype} values",
            remedy="Export the model with numbers there",
        ) from None


class _Collector:
    """Gathers one tensor's :class:`Observed`; the same share of every sample is kept."""

    def __init__(self, samples: int, averaged: bool) -> None:
        self._averaged = averaged
        self._quota = math.ceil(SAMPLE / samples)
        self._random = np.random.default_rng(20260101)
        self._kept: list[FloatArray] = []
        self._low, self._high, self._count = math.inf, -math.inf, 0
        self._sum: AnyArray | None = None
        self._samples = samples

    def add(self, array: AnyArray) -> None:
        values = array.astype(np.float32, copy=False).ravel()
        if not values.size:
            return
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))
        self._count += values.size
        if self._averaged:
            if self._sum is None:
                self._sum = np.zeros(array.shape)
            self._sum += array
        if values.size > self._quota:
            values = values[self._random.integers(0, values.size, self._quota)]
        self._kept.append(values)

    def result(self) -> Observed:
        if not self._count:
            return Observed(0.0, 0.0, 0, np.zeros(1, np.float32))
        extremes = np.array([self._low, self._high], np.float32)
        values = np.concatenate([*self._kept, extremes])
        mean = None if self._sum is None else (self._sum / self._samples).astype(np.float32)
        return Observed(self._low, self._high, self._count, values, mean)


def calibrate(
    source: Source,
    tensors: Sequence[str],
    samples: Mapping[str, AnyArray],
    progress: Callable[[int, int], None] | None = None,
    counts: Counted = MappingProxyType({}),
    averaged: Collection[str] = (),
) -> dict[str, Observed]:
    """Run the model as it is in ONNX Runtime and watch tensors.

    Parameters
    ----------
    tensors : what to watch: any computed tensors or model inputs of known type
    samples : of :func:`load_samples`
    progress : called with the number of samples done and their total
    counts : of :func:`~.counted.counted`
    averaged : of the tensors, those whose means are wanted: a mean is as large as its tensor

    Raises
    ------
    CalibrationError
        If ONNX Runtime cannot run the model, or a tensor becomes NaN or infinite.
    """
    total = len(next(iter(samples.values())))
    collectors = {name: _Collector(total, name in averaged) for name in tensors}
    for index, found in enumerate(run_model(source, list(collectors), samples, counts=counts)):
        for name, collector in collectors.items():
            collector.add(found[name])
        if progress is not None:
            progress(index + 1, total)
    return {name: collector.result() for name, collector in collectors.items()}


def run_model(
    source: Source,
    tensors: Sequence[str],
    samples: Mapping[str, AnyArray],
    loose: Sequence[str] = (),
    counts: Counted = MappingProxyType({}),
) -> Iterator[dict[str, AnyArray]]:
    """Run the model as it is in ONNX Runtime: for each sample, the model's inputs, ``tensors``, and
    ``loose`` ones, which get no grid and so may be infinite. Of those in ``counts`` only what
    counts.

    Each sample on one thread: several may share a sum out in another way on another machine, and so
    give other values, other grids and another bundle. ONNX Runtime's routines for other vector
    instructions may still, so whoever needs one bundle on several machines copies it.

    Raises
    ------
    CalibrationError
        If ONNX Runtime cannot run the model, gives one of ``tensors`` another size than its type
        has, or one of them becomes NaN or infinite.
    """
    strict = [name for name in dict.fromkeys(tensors) if name not in samples]
    watched = list(dict.fromkeys([*strict, *(name for name in loose if name not in samples)]))
    session = _session(source, watched)

    def run(index: int) -> dict[str, AnyArray]:
        # A scalar's element is no array of its own accord.
        feed = {name: np.asarray(array[index]) for name, array in samples.items()}
        if session is None:
            return feed
        try:
            results = session.run(None, feed)
        # ONNX Runtime's exceptions have no common public base.
        except Exception as error:
            raise CalibrationError(
                "ONNX Runtime cannot run the model",
                where=str(source.path),
                expected="a result for every sample",
                found=words_of(error),
                remedy=_ALONE,
            ) from error
        found = dict(zip(watched, results, strict=True))
        _check_shapes(source, {name: found[name] for name in strict})
        found |= {name: counts[name](found[name]) for name in counts.keys() & found.keys()}
        _check_finite({name: found[name] for name in strict})
        return {**feed, **found}

    yield from _in_order(run, len(next(iter(samples.values()))))


_AT_ONCE = 2
"""Samples that run at once: each brings every tensor that is watched."""


def _in_order(run: Callable[[int], _T], count: int) -> Iterator[_T]:
    """Results of calls with 0, 1, ... below ``count``, of which some run side by side."""
    running: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sample") as pool:
        try:
            for index in range(count):
                running.append(pool.submit(run, index))
                if len(running) == _AT_ONCE:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for each in running:
                each.cancel()


def _check_shapes(source: Source, found: Mapping[str, AnyArray]) -> None:
    """ONNX Runtime takes some models that ONNX forbids, and gives them a meaning of its own."""
    for name, array in found.items():
        shape = source.values[name].shape
        if array.size != math.prod(shape):
            raise CalibrationError(
                "ONNX Runtime computes another shape than the model's types say",
                where=f"tensor {name!r}",
                expected=f"the shape {list(shape)}, as ONNX infers it",
                found=str(list(array.shape)),
                remedy="See whether the operator that makes it may broadcast what it gets",
            )


def _check_finite(found: Mapping[str, AnyArray]) -> None:
    """All that is watched has a grid or gets one, and none has NaN or infinity on it."""
    for name, array in found.items():
        # In float32, in which grids are chosen and losses measured: a double may be beyond it.
        with np.errstate(over="ignore"):
            finite = np.all(np.isfinite(array.astype(np.float32, copy=False)))
        if not finite:
            raise CalibrationError(
                "the model computes NaN or infinity for a sample",
                where=f"tensor {name!r}",
                expected="finite numbers",
                found="NaN or infinity",
                remedy="Give samples as the model was trained on: scaled alike",
            )


def _session(source: Source, watched: Sequence[str]) -> Session | None:
    """A session that returns the watched tensors, in order; None if there are none."""
    if not watched:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    del model.graph.output[:]
    for name in watched:
        value = source.values.get(name)
        if value is None:
            raise CalibrationError(
                "a tensor of unknown shape cannot be watched",
                where=f"tensor {name!r}",
                expected="a tensor whose shape is known",
                found="none",
                remedy="Cut the model elsewhere",
            )
        kind = elem_type_of(value.dtype)
        if value.dtype in PACKED:
            kind, packed, name = onnx.TensorProto.INT8, name, f"{name}::int8"
            model.graph.node.append(helper.make_node("Cast", [packed], [name], name, to=kind))
        model.graph.output.append(helper.make_tensor_value_info(name, kind, list(value.shape)))
    try:
        return open_session(
            model.SerializeToString(),
            threads=1,
            where=str(source.path),
            error=CalibrationError,
            remedy=_ALONE,
        )
    except CalibrationError as error:
        raise _root_cause(source) or error from error


def _root_cause(source: Source) -> CalibrationError | None:
    """What stands in the way of running a model, where that is a node that loading would have
    written out in standard operators, but for what it asks.
    """
    for node in source.nodes:
        if node.name in source.refused and node.name in source.live:
            expected, _, found = (
                source.refused[node.name].removeprefix("expected ").partition(", found ")
            )
            more = len(source.refused) - 1
            return CalibrationError(
                "nothing can be calibrated, for ONNX Runtime does not know the node, and it has "
                "no form in standard operators",
                where=f"node {node.name!r} ({kind_of(node)})"
                + (f" and {more} more" if more else ""),
                expected=expected,
                found=found,
                remedy="Export the model with that mended; midwire inspect lists all such nodes",
            )
    return None
