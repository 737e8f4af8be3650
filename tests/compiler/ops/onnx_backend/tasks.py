# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The node tests that the ``onnx`` package brings, as models that midwire may compile.

The package makes models and data while it is asked for them; nothing is downloaded. Its tests feed
weights, shapes and axes as inputs. Here they become constants: as few as midwire's import rules
need, from the last one on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import kind_of
from midwire.compiler.ops import REGISTRY
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.support import import_all
from midwire.hw.errors import MidwireError

Array = np.ndarray[Any, Any]

SPELLED_OUT = "_expanded"
"""In names of tests whose model is the body of an operator's function instead of the operator."""


@dataclass(frozen=True)
class NodeTest:
    """A test of the package.

    Attributes
    ----------
    name, model : the package's
    operator : its type, as :func:`kind_of` has it; of the operator that is spelled out, if one is
    inputs, outputs : data in the model's order: arrays, but for sequences and optional tensors
    rtol, atol : how far the package lets a backend be from ``outputs``
    """

    name: str
    operator: str
    model: onnx.ModelProto
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    rtol: float
    atol: float

    @property
    def spelled_out(self) -> bool:
        """Whether other operators stand for the one that is tested."""
        return SPELLED_OUT in self.name


@dataclass(frozen=True)
class Task:
    """A node test that midwire takes: a model whose inputs are data, and what it should give.

    Attributes
    ----------
    test : the test that it is made of
    model : the test's model with constants in place of other inputs
    data, wanted : arrays of the model's inputs and outputs, by name
    """

    test: NodeTest
    model: onnx.ModelProto
    data: dict[str, Array]
    wanted: dict[str, Array]


@lru_cache(maxsize=1)
def node_tests() -> tuple[NodeTest, ...]:
    """All of them, in the package's order. Seconds, once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package divides by zero to make its data
        cases = list(collect_testcases(None))
    made = [(case, case.model, case.data_sets) for case in cases]
    models = {case.name: model for case, model, _ in made}
    found = []
    for case, model, data in made:
        assert model is not None and data is not None
        whole = models.get(case.name.partition(SPELLED_OUT)[0]) or model
        kinds = sorted({kind_of(node) for node in whole.graph.node})
        ((inputs, outputs),) = data
        found.append(
            NodeTest(
                name=case.name,
                operator=kinds[0] if len(kinds) == 1 else "several in one model",
                model=model,
                inputs=tuple(map(_array, inputs)),
                outputs=tuple(map(_array, outputs)),
                rtol=case.rtol,
                atol=case.atol,
            )
        )
    return tuple(found)


def _array(value: Any) -> Any:
    """Data as an array, if it is a tensor: the package also has numpy's scalars and protobufs."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def unlike_a_slice(test: NodeTest) -> str:
    """What of the test's data no slice takes or makes, whatever the operator; empty if nothing."""
    arrays = [*test.inputs, *test.outputs]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return "sequences or optional tensors"
    kinds = {array.dtype.kind for array in arrays}
    if kinds & set("OSU"):
        return "strings"
    if not kinds <= set("fiub"):
        return "element types that numpy lacks, of 2 or 4 bits or short floats"
    if not _data(test):
        return "no input of real numbers or of integers on a grid"
    if not any(array.dtype.kind == "f" for array in test.outputs):
        return "no output of real numbers"
    if any(array.size == 0 for array in arrays):
        return "empty tensors"
    real = [array for array in arrays if array.dtype.kind == "f"]
    if not all(np.isfinite(array).all() for array in real):
        return "infinity or NaN among the data"
    return ""


def tasks_of(test: NodeTest) -> Iterator[Task]:
    """Tasks from the most data inputs to one, each with all outputs, then with the first alone."""
    names = [value.name for value in test.model.graph.input]
    feeds = dict(zip(names, test.inputs, strict=True))
    real = [names[index] for index in _data(test)]
    wanted = {
        value.name: array
        for value, array in zip(test.model.graph.output, test.outputs, strict=True)
    }
    for count in range(len(real), 0, -1):
        for kept in (tuple(wanted), tuple(wanted)[:1])[: len(wanted)]:
            data = {name: feeds[name] for name in real[:count]}
            model = _frozen(test.model, feeds, data, kept)
            yield Task(test, model, data, {name: wanted[name] for name in kept})


def _data(test: NodeTest) -> list[int]:
    """Positions of inputs that may be data: the first, if it may lie on a grid; else real numbers.

    Other integers and truth values are shapes, axes, counts and masks: constants.
    """
    first = test.inputs[0].dtype if test.inputs else None
    if first in _GRIDS:
        return [0]
    return [k for k, array in enumerate(test.inputs) if array.dtype.kind == "f"]


_GRIDS = tuple(np.dtype(name) for name in ("int8", "uint8", "int16", "uint16"))


def _frozen(
    model: onnx.ModelProto, feeds: dict[str, Array], data: dict[str, Array], kept: tuple[str, ...]
) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inputs = [value for value in model.graph.input if value.name in data]
    outputs = [value for value in model.graph.output if value.name in kept]
    del copy.graph.input[:], copy.graph.output[:]
    copy.graph.input.extend(inputs)
    copy.graph.output.extend(outputs)
    copy.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in feeds.items()
        if name not in data
    )
    return copy


def refusal(task: Task, file: Path) -> str:
    """Why midwire does not take all of the model as one slice; empty if it does."""
    file.write_bytes(task.model.SerializeToString())
    try:
        source = load_model(file)
        support = import_all(source)
        for verdict in support:
            if not verdict.supported:
                return clause(verdict.op_type, verdict.reason)
        plan(source, list(task.data), list(task.wanted), calibrated=True, support=support)
    except MidwireError as error:
        return clause(error.where.replace(str(file), "the model"), error.problem)
    return ""


def clause(where: str, reason: str) -> str:
    """A clause for a table: what the node expected, or that there is no such operator."""
    if where not in REGISTRY and "is not supported" in reason:
        return f"no operator {where}"
    return f"{where}: {reason.partition(', found')[0].partition(': the ')[0]}"
