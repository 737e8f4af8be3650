# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernels and finishers as data: JSON values and integer arrays, and back.

Parameters are what :mod:`.base` rule K1 allows. The same text names an implementation by its
content: :func:`canonical` is equal for equal descriptions and for no others.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np

from ..finish.base import Finisher
from ..finish.direct import Direct
from ..finish.multiply_shift import MultiplyShift
from ..finish.table import Table
from ..finish.thresholds import Thresholds
from ..formats.bundle import Described
from ..formats.tensor import AnyArray
from ..numeric import IntArray
from .base import Kernel
from .concat import ConcatKernel
from .conv import ConvKernel
from .deviation import DeviationKernel
from .dot import DotKernel
from .eltwise import EltwiseKernel
from .gru import GruKernel
from .lstm import LstmKernel
from .pool import PoolKernel
from .powers import PowersKernel
from .quotient import QuotientKernel
from .reduce import ReduceKernel
from .reorder import ReorderKernel
from .rnn import RnnKernel
from .rows import RowsKernel
from .shares import SharesKernel
from .split import SplitKernel
from .top import TopKernel
from .tree_ensemble import TreeEnsembleKernel

KERNELS: Mapping[str, type[Kernel]] = {
    kernel.name: kernel
    for kernel in (
        ConcatKernel,
        ConvKernel,
        DeviationKernel,
        DotKernel,
        EltwiseKernel,
        GruKernel,
        LstmKernel,
        PoolKernel,
        PowersKernel,
        QuotientKernel,
        ReduceKernel,
        ReorderKernel,
        RnnKernel,
        RowsKernel,
        SharesKernel,
        SplitKernel,
        TopKernel,
        TreeEnsembleKernel,
    )
}
"""Every kernel by the name that a bundle's program calls it."""

FINISHERS: Mapping[str, type[Finisher]] = {
    finisher.kind: finisher for finisher in (Direct, MultiplyShift, Table, Thresholds)
}
"""Every finisher by its kind."""

_T = TypeVar("_T")

_PACKAGE = __name__.rpartition(".")[0].rpartition(".")[0]


def describe(part: Kernel | Finisher, prefix: str, arrays: dict[str, AnyArray]) -> Described:
    """A kernel or finisher for a bundle; adds its arrays, narrowed, under keys with a prefix."""
    parameters: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for field in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            keys[field.name] = f"{prefix}.{field.name}"
            arrays[keys[field.name]] = _narrow(value)
        else:
            parameters[field.name] = _plain(value)
    kind = part.name if isinstance(part, Kernel) else part.kind
    return Described(kind, parameters, keys)


def kernel_of(described: Described, arrays: Mapping[str, AnyArray]) -> Kernel:
    """The kernel that a bundle describes; raises KeyError, TypeError or ValueError if none."""
    return _rebuilt(KERNELS[described.kind], described, arrays)


def finisher_of(described: Described, arrays: Mapping[str, AnyArray]) -> Finisher:
    """The finisher that a bundle describes; raises KeyError, TypeError or ValueError if none."""
    return _rebuilt(FINISHERS[described.kind], described, arrays)


def _rebuilt(kind: type[_T], described: Described, arrays: Mapping[str, AnyArray]) -> _T:
    hints = typing.get_type_hints(kind)
    values = {name: _integers(arrays[key]) for name, key in described.arrays.items()}
    for name, value in described.parameters.items():
        values[name] = _typed(hints[name], value)
    return kind(**values)


def _integers(array: AnyArray) -> IntArray:
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"expected an array of integers, not of {array.dtype}")
    return array.astype(np.int64)


def _narrow(array: AnyArray) -> AnyArray:
    """The smallest standard integer type that holds an array."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if array.size == 0 or (array.min() >= info.min and array.max() <= info.max):
            return array.astype(dtype)
    return array.astype(np.int64)


def _plain(value: Any) -> Any:
    """A parameter as a JSON value."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"expected an integer, a text, a tuple or a dataclass, not {value!r}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _typed(hint: Any, value: Any) -> Any:
    """A JSON value as the type that a field is annotated with."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        (inner,) = (a for a in arguments if a is not types.NoneType)
        return _typed(inner, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, not {value!r}")
        if len(arguments) == 2 and arguments[1] is ...:
            return tuple(_typed(arguments[0], item) for item in value)
        return tuple(_typed(a, item) for a, item in zip(arguments, value, strict=True))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, not {value!r}")
        own = _hints(hint)  # type: ignore[arg-type]
        return hint(**{name: _typed(own[name], item) for name, item in value.items()})  # type: ignore[operator]
    if type(value) is not hint:
        raise TypeError(f"expected {hint.__name__}, not {value!r}")
    return value


def canonical(description: Any) -> str:
    """A frozen dataclass as text, from which :func:`described_by` makes an equal one."""
    return json.dumps(_tagged(description), sort_keys=True, separators=(",", ":"))


def described_by(text: str) -> Any:
    """The frozen dataclass that a canonical text describes."""
    return _untagged(json.loads(text))


def _tagged(value: Any) -> Any:
    """As :func:`_plain`, with the class of every dataclass and named tuple beside its fields."""
    names = _field_names(value)
    if names:
        kind = type(value)
        home = kind.__module__.removeprefix(f"{_PACKAGE}.")
        fields = {name: _tagged(getattr(value, name)) for name in names}
        return {"is": f"{home}:{kind.__qualname__}", **fields}
    if isinstance(value, tuple):
        return [_tagged(item) for item in value]
    return _plain(value)


def _field_names(value: Any) -> tuple[str, ...]:
    """Fields of a dataclass or a named tuple; none for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value))
    return tuple(getattr(value, "_fields", ())) if isinstance(value, tuple) else ()


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_untagged(item) for item in value)
    if isinstance(value, dict):
        home, _, name = value["is"].partition(":")
        kind = getattr(importlib.import_module(f"{_PACKAGE}.{home}"), name)
        return kind(**{key: _untagged(item) for key, item in value.items() if key != "is"})
    return value
