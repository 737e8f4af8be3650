# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators on volumes, (N, C, D, H, W), beyond those in each operator's own cases.

Every case is held against its definition and against ONNX Runtime by itself; in RTL all stand side
by side in one design, so that they share one build.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.ops._model import one_node, weights
from midwire.compiler.ops.base import Case
from midwire.compiler.pipeline import Options
from midwire.hw.formats.bundle import Bundle

from .joined import Form, compile_form
from .joined import check as check_rtl
from .test_conformance import check_bound, check_exact

SEED = 20263
VOLUME = (1, 4, 2, 3, 4)


def case(
    name: str,
    op_type: str,
    out: tuple[int, ...] = VOLUME,
    constants: dict[int, np.ndarray[Any, Any]] | None = None,
    others: tuple[tuple[int, ...], ...] = (),
    **more: Any,
) -> Case:
    """One operator on a volume, and on ``others``."""
    return Case(name, one_node(op_type, [VOLUME, *others], out, constants, **more))


def pad(mode: str, amounts: list[int], value: float = 0.0) -> Case:
    """A volume padded by ``amounts``, as ONNX orders them."""
    out = tuple(n + amounts[i] + amounts[i + 5] for i, n in enumerate(VOLUME))
    constants: dict[int, np.ndarray[Any, Any]] = {1: np.array(amounts, np.int64)}
    if value:
        constants[2] = np.array(value, np.float32)
    return case(f"pad_{mode}", "Pad", out, constants, opset=19, mode=mode)


def resize(name: str, out: tuple[int, ...], **more: Any) -> Case:
    """A volume of other sizes."""
    scales = np.array([b / a for a, b in zip(VOLUME, out, strict=True)], np.float32)
    return case(f"resize_{name}", "Resize", out, {1: np.zeros(0, np.float32), 2: scales}, **more)


def reduce(kind: str, out: tuple[int, ...], *axes: int) -> Case:
    """A volume without some of its axes, which are dropped, or kept with one element each."""
    name = "_".join(map(str, ("reduce", kind.lower(), *axes)))
    return case(name, f"Reduce{kind}", out, axes=list(axes), keepdims=int(len(out) == 5))


PER_CHANNEL = {1: 1 + weights(1, 4), 2: weights(2, 4)}
WINDOW: dict[str, Any] = {"kernel_shape": [2, 2, 3], "strides": [1, 2, 2]}
FLOOR: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
SPLIT: dict[str, Any] = {"constants": {1: np.array([1, 2], np.int64)}, "axis": 3}

CASES = [
    pad("reflect", [0, 0, 1, 2, 1, 0, 0, 0, 1, 3]),
    pad("edge", [0, 0, 1, 2, 1, 0, 0, 0, 1, 3]),
    pad("wrap", [0, 0, 1, 2, 1, 0, 0, 0, 1, 3]),
    pad("constant", [0, 0, 1, 0, 2, 0, 0, 0, 1, 1], value=0.3),
    resize("twice", (1, 4, 4, 6, 8), **FLOOR),
    resize("plane", (1, 4, 2, 9, 8)),
    resize("smaller", (1, 4, 1, 3, 2), **FLOOR),
    resize("other_factor", (1, 4, 3, 4, 5)),
    resize("linear", (1, 4, 4, 6, 8), mode="linear"),
    resize(
        "corners",
        (1, 4, 2, 6, 6),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    case("instance_normalization", "InstanceNormalization", constants=PER_CHANNEL),
    case(
        "group_normalization",
        "GroupNormalization",
        constants=PER_CHANNEL,
        opset=21,
        num_groups=2,
    ),
    case(
        "batch_normalization",
        "BatchNormalization",
        constants={**PER_CHANNEL, 3: weights(3, 4), 4: np.abs(weights(4, 4)) + np.float32(0.5)},
    ),
    case("softmax_channels", "Softmax", axis=1),
    case("softmax_depth", "Softmax", axis=2),
    case("softmax_height", "Softmax", axis=-2),
    case("softmax_width", "Softmax", axis=4),
    case("softmax_joined", "Softmax", opset=11, axis=2),
    case("log_softmax_channels", "LogSoftmax", axis=1),
    case(
        "layer_normalization",
        "LayerNormalization",
        constants={1: 1 + weights(5, 4), 2: weights(6, 4)},
        opset=17,
    ),
    case(
        "layer_normalization_spatial",
        "LayerNormalization",
        constants={1: 1 + weights(5, 2, 3, 4)},
        opset=17,
        axis=2,
    ),
    case("lp_normalization_channels", "LpNormalization", axis=1),
    case("global_average_pool", "GlobalAveragePool", (1, 4, 1, 1, 1)),
    case("global_max_pool", "GlobalMaxPool", (1, 4, 1, 1, 1)),
    case("max_pool", "MaxPool", (1, 4, 2, 2, 2), **WINDOW, pads=[1, 0, 0, 0, 1, 1]),
    case("max_pool_ceil", "MaxPool", (1, 4, 1, 2, 2), **WINDOW, ceil_mode=1),
    case("average_pool_same", "AveragePool", (1, 4, 2, 2, 2), **WINDOW, auto_pad="SAME_UPPER"),
    reduce("Mean", (1, 4), 2, 3, 4),
    reduce("Mean", (1, 4, 2, 1, 1), 3, 4),
    reduce("Mean", (1, 4, 3, 4), 2),
    reduce("SumSquare", (1, 3, 4), 1, 2),
    reduce("Max", (1, 1, 2, 3, 4), 1),
    reduce("Min", (1, 4, 1, 3, 1), 2, 4),
    reduce("L2", (1, 4, 2, 3), 4),
    case("concat_channels", "Concat", (1, 6, 2, 3, 4), others=((1, 2, 2, 3, 4),), axis=1),
    case("concat_depth", "Concat", (1, 4, 5, 3, 4), others=((1, 4, 3, 3, 4),), axis=2),
    case("concat_width", "Concat", (1, 4, 2, 3, 5), others=((1, 4, 2, 3, 1),), axis=-1),
    case("split_channels", "Split", (1, 2, 2, 3, 4), further=[(1, 2, 2, 3, 4)], axis=1),
    case("split_height", "Split", (1, 4, 2, 1, 4), further=[(1, 4, 2, 2, 4)], **SPLIT),
    case("transpose", "Transpose", (1, 4, 2, 4, 3), perm=[0, 1, 2, 4, 3]),
    case("transpose_last", "Transpose", (1, 2, 3, 4, 4), perm=[0, 2, 3, 4, 1]),
    case("transpose_time", "Transpose", (1, 2, 4, 3, 4), perm=[0, 2, 1, 3, 4]),
    case("prelu", "PRelu", constants={1: weights(7, 4, 1, 1, 1)}),
    case("product_of_channels", "Mul", others=((1, 4, 1, 1, 1),)),
    case("product_of_frames", "Mul", others=((1, 1, 2, 1, 1),)),
    case("sum_of_channels", "Add", others=((1, 4, 1, 1, 1),)),
    case("sum_of_pixels", "Add", others=((3, 4),)),
    case("largest", "Max", others=(VOLUME,)),
    case("matmul", "MatMul", (1, 4, 2, 3, 3), constants={1: weights(8, 4, 3)}),
    case("scores", "MatMul", (1, 4, 2, 3, 3), others=((1, 4, 2, 4, 3),)),
    case("arg_max_channels", "ArgMax", (1, 1, 2, 3, 4), axis=1, places=[0]),
]

BY_NAME = {each.name: each for each in CASES}


def compiled(case: Case, folder: Path) -> tuple[Bundle, Form]:
    """A case by itself, and as a form to be joined with others."""
    rng = np.random.default_rng(SEED)
    np.savez(folder / "samples.npz", **case.samples(rng, 8))  # type: ignore[arg-type]
    (folder / "net.onnx").write_bytes(case.model.SerializeToString())
    graph = case.model.graph
    options = Options(
        [value.name for value in graph.input],
        [value.name for value in graph.output],
        folder / "samples.npz",
        case.bits,
        min_sqnr=-math.inf,
        hold_out=0,
        bias_correction=False,  # the definition knows the model's own
    )
    bundle, form, _ = compile_form(folder / "net.onnx", folder / "bundle", options, case.name)
    return bundle, form


@pytest.mark.usefixtures("no_rtl", "no_nic")
@pytest.mark.parametrize("name", BY_NAME)
def test_meaning(name: str, tmp_path: Path, arithmetic: Any) -> None:
    """The reference and ``slice.onnx`` by the definition, and within its bound of the model."""
    print(f"seed {SEED}")
    case = BY_NAME[name]
    bundle, _ = compiled(case, tmp_path)
    check_exact(bundle, case.model, case.bits, SEED, arithmetic)
    check_bound(bundle, case, SEED, arithmetic)


@pytest.mark.sweep
@pytest.mark.usefixtures("no_rtl", "no_nic")
def test_rtl(tmp_path: Path) -> None:
    """Every bit and every cycle, with pauses on all sides and without."""
    check_rtl([compiled(case, tmp_path)[1] for case in CASES], tmp_path, SEED)
