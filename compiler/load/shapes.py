# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions that a model leaves open, bound before anything is inferred.

D1. A shape that the user gives fills in its input's open dimensions. What the model fixes stays.
D2. Samples fill in what is then still open: their last axes are those of the input.
D3. A leading dimension that is open after that is the batch, and becomes 1.
D4. A name binds every dimension that has it, in all inputs. Words that exporters write for "any"
    are no names.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

from ...hw.formats.npz import key_of, read_npz
from ..errors import CalibrationError, ModelError, OptionError

Shapes = Mapping[str, Sequence[int]]
"""For an input's name its shape, the batch included."""

_Dimension = onnx.TensorShapeProto.Dimension

MOST_ELEMENTS = 1 << 27
"""Of an input of a model, the batch included."""

_ANY = frozenset(("", "?", "-1", "None"))


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Shapes as the command line has them, each ``NAME=1,3,48,192``; a name may hold a ``=``.

    Raises
    ------
    OptionError
        If a text is no such thing, or a name comes twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        parts = [part.strip() for part in numbers.split(",")]
        if not name or not all(part.isdecimal() and len(part) < 10 for part in parts):
            raise _wrong("unusable shape", "NAME=1,3,48,192", repr(text))
        if name in shapes:
            raise _wrong("an input has two shapes", "one shape of a name", f"a second of {name!r}")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


def bind_inputs(
    graph: onnx.GraphProto, shapes: Shapes, samples: str | os.PathLike[str] | None = None
) -> None:
    """Give every input of a graph a shape of numbers (rules D1 to D4).

    Parameters
    ----------
    graph : its inputs are changed
    shapes : by name of an input; may leave inputs out
    samples : an ``.npz`` of samples, read where a dimension is still open

    Raises
    ------
    OptionError
        If a shape is that of no input.
    ModelError
        If inputs are no tensors, or dimensions stay open, or a shape does not suit its input.
    CalibrationError
        If the samples are needed and cannot be read.
    """
    inputs = {value.name: value for value in graph.input}
    _check_tensors(inputs)
    for name, shape in shapes.items():
        if name not in inputs:
            names = ", ".join(repr(known) for known in inputs)
            raise _wrong(f"there is no input {name!r}", f"one of {names}", repr(name))
        _bind(inputs, name, shape)
    if samples is not None:
        _bind_to_samples(inputs, samples)
    _bind_batch(inputs)
    _check_bound(inputs)
    _check_sizes(inputs)


def _wrong(what: str, expected: str, found: str) -> OptionError:
    return OptionError(
        what,
        where="--shape",
        expected=expected,
        found=found,
        remedy="Give an input that leaves dimensions open one shape, as in --shape x=1,3,48,192",
    )


def _dims(value: onnx.ValueInfoProto) -> Sequence[_Dimension]:
    return value.type.tensor_type.shape.dim


def _is_open(dim: _Dimension) -> bool:
    """Whether a dimension is no number; some exporters write -1 or 0 for that."""
    return not dim.HasField("dim_value") or dim.dim_value < 1


def _every(inputs: Mapping[str, onnx.ValueInfoProto]) -> Iterator[_Dimension]:
    for value in inputs.values():
        yield from _dims(value)


def _bind(inputs: Mapping[str, onnx.ValueInfoProto], name: str, shape: Sequence[int]) -> None:
    """Rule D1 for one input."""
    kind = inputs[name].type.tensor_type
    if not kind.HasField("shape"):
        kind.shape.dim.extend(_Dimension() for _ in shape)
        kind.shape.SetInParent()
    dims = _dims(inputs[name])
    declared = _show(dims)
    fits = len(dims) == len(shape)
    for dim, size in zip(dims, shape, strict=False):
        if fits and size > 0 and _is_open(dim):
            _set(inputs, dim, size)  # perhaps dimensions that are still to come, too
        fits = fits and size > 0 and dim.dim_value == size
    if not fits:
        raise ModelError(
            "the shape does not suit the input",
            where=f"input {name!r}",
            expected=f"numbers for [{declared}], each number in it kept, and one for each name",
            found=f"{list(shape)}",
            remedy="Give the shape as the model's input takes it, the batch included",
            usage=True,
        )


def _set(inputs: Mapping[str, onnx.ValueInfoProto], dim: _Dimension, size: int) -> None:
    """Bind a dimension, and all of its name (rule D4)."""
    same = dim.dim_param
    dim.dim_value = size
    for other in _every(inputs):
        if same not in _ANY and other.dim_param == same:
            other.dim_value = size


def _bind_to_samples(
    inputs: Mapping[str, onnx.ValueInfoProto], samples: str | os.PathLike[str]
) -> None:
    """Rule D2. Whether the samples suit the model otherwise is checked where they are used."""
    waiting = {
        name: index
        for index, (name, value) in enumerate(inputs.items())
        if any(_is_open(dim) for dim in _dims(value)[1:])
    }
    if not waiting:
        return
    stored = read_npz(samples, error=CalibrationError)
    for name, index in waiting.items():
        key = key_of(name, index, list(stored))
        inner = _dims(inputs[name])[1:]
        if key is None or stored[key].ndim < len(inner):
            continue
        sizes = stored[key].shape[stored[key].ndim - len(inner) :]
        for dim, size in zip(inner, sizes, strict=True):
            if _is_open(dim) and size:
                _set(inputs, dim, size)


def _bind_batch(inputs: Mapping[str, onnx.ValueInfoProto]) -> None:
    """Rule D3."""
    for value in inputs.values():
        for dim in _dims(value)[:1]:
            if _is_open(dim):
                _set(inputs, dim, 1)


def _check_tensors(inputs: Mapping[str, onnx.ValueInfoProto]) -> None:
    wrong = {
        name: value.type.WhichOneof("value") or "no type"
        for name, value in inputs.items()
        if not value.type.HasField("tensor_type")
    }
    if wrong:
        raise ModelError(
            "the input is not a tensor" if len(wrong) == 1 else "inputs are not tensors",
            where=_where(wrong),
            expected="tensors",
            found=", ".join(wrong.values()),
            remedy="Export the model with tensors as inputs",
        )


def _check_bound(inputs: Mapping[str, onnx.ValueInfoProto]) -> None:
    """All inputs at once: each is an option of its own to give."""
    found: dict[str, str] = {}
    options: list[str] = []
    for name, value in inputs.items():
        dims = _dims(value)
        if not value.type.tensor_type.HasField("shape"):
            found[name] = "no shape"
            options.append(f"--shape {name}=1,3,48,192")
        elif any(map(_is_open, dims)):
            found[name] = f"[{_show(dims)}]"
            sizes = ",".join("N" if _is_open(each) else str(each.dim_value) for each in dims)
            options.append(f"--shape {name}={sizes}")
    if found:
        raise ModelError(
            "the model leaves dimensions open",
            where=_where(found),
            expected="numbers for all dimensions but the first (the batch)",
            found=" and ".join(found.values()),
            remedy=f"Bind them with {' '.join(options)}, a number for each N, or with samples "
            "(--calibrate)",
        )


def _check_sizes(inputs: Mapping[str, onnx.ValueInfoProto]) -> None:
    """A few bytes of a model name any size."""
    shapes = {name: [dim.dim_value for dim in _dims(value)] for name, value in inputs.items()}
    large = {name: shape for name, shape in shapes.items() if math.prod(shape) > MOST_ELEMENTS}
    if large:
        raise ModelError(
            "the model takes more than fits in memory",
            where=_where(large),
            expected=f"at most {MOST_ELEMENTS} elements",
            found=" and ".join(str(shape) for shape in large.values()),
            remedy="Export the model with the shapes that it is run with",
        )


def _where(names: Iterable[str]) -> str:
    quoted = [repr(name) for name in names]
    return f"input{'s' if len(quoted) > 1 else ''} {', '.join(quoted)}"


def _show(dims: Sequence[_Dimension]) -> str:
    return ", ".join(
        dim.dim_param or (str(dim.dim_value) if dim.HasField("dim_value") else "?") for dim in dims
    )
