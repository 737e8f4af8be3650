# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, opened in one place: on the CPU, with few threads, silent, with our errors, and
without its telemetry.

Importing this loads no ONNX Runtime; opening a session does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import MidwireError, ToolError

Session = Any
"""An ``onnxruntime.InferenceSession``, which has no types."""

_FATAL_ONLY = 4  # what went wrong comes as an exception

_NAMES = {"float": "float32", "double": "float64"}


class Input(NamedTuple):
    """An input of a model: its name, shape (symbolic sizes are 1) and element type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def open_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    exact: bool = False,
    where: str = "",
    error: type[MidwireError] = ToolError,
    remedy: str = "Compile the bundle again, or update onnxruntime",
) -> Session:
    """A session for a model.

    Parameters
    ----------
    model : the ONNX file, or its bytes
    threads : that one operator may use
    exact : switch ONNX Runtime's rewrites of the graph off
    where : what errors call the model, its path by default
    error, remedy : class of the error to raise, and what it advises

    Raises
    ------
    MidwireError
        If ONNX Runtime does not take the model.
    """
    # Read while it loads. Without it, releases since 1.29 keep an identifier of the machine in the
    # user's cache and tell their makers what models run; a user who sets it has the last word.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's exceptions have no common public base.
    except Exception as reason:
        raise error(
            "ONNX Runtime does not take the model",
            where=where or ("" if isinstance(model, bytes) else str(model)),
            expected="a model whose nodes ONNX Runtime knows",
            found=words_of(reason),
            remedy=remedy,
        ) from reason


def inputs_of(session: Session, *, error: type[MidwireError] = ToolError) -> list[Input]:
    """The inputs of a session's model.

    Raises
    ------
    ToolError
        If one is no tensor, or of elements that NumPy lacks; or an ``error``.
    """
    return [
        Input(
            item.name,
            tuple(size if isinstance(size, int) else 1 for size in item.shape),
            _dtype(item.name, item.type, error),
        )
        for item in session.get_inputs()
    ]


def words_of(error: BaseException) -> str:
    """An exception of ONNX Runtime's as one clause."""
    return " ".join(str(error).split())[:400].rstrip(".")


def _dtype(name: str, onnx_type: str, error: type[MidwireError]) -> np.dtype[Any]:
    """``tensor(float)`` to float32 and so on."""
    inner = onnx_type.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(_NAMES.get(inner, inner))
    except TypeError as reason:
        raise error(
            "no NumPy array can be this input",
            where=f"input {name!r}",
            expected="a tensor of numbers that NumPy has",
            found=onnx_type,
            remedy="Cast it from such a type inside of the model",
        ) from reason
