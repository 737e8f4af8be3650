# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Constants whose computing takes hours, or all memory, though they are small: not computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.load import infer
from midwire.compiler.load.constants import Context
from midwire.compiler.load.frontend import load_model

ModelFile = Callable[..., Path]


def filled(name: str, shape: str, kind: str = "float") -> str:
    """A constant of ones, or of zeros for places."""
    number = 0 if kind == "int64" else 1
    return (
        f"{name}s = Constant <value_ints = [{shape}]> () "
        f"{name} = ConstantOfShape <value = {kind}[1] {{{number}}}> ({name}s) "
    )


PADS = ", ".join(["{0}"] * 4)


def model(body: str) -> str:
    return f"""
    g (float[1, 3] x) => (float[1, 3] y, float[A] z)
    {{ {body} y = Relu (x) r = Cast <to = 1> (e) m = ReduceMax <keepdims = 0> (r) z = Mul (x, m) }}
    """


def pool(operator: str, kernel: int) -> str:
    pads = PADS.format(kernel // 2)
    return (
        filled("a", "1, 1, 8, 8")
        + f"e = {operator} <kernel_shape = [{kernel}, {kernel}], pads = [{pads}]> (a)"
    )


def conv(operator: str, kind: str, size: int, kernel: int) -> str:
    return (
        filled("a", f"1, 8, {size}, {size}", kind)
        + filled("w", f"8, 8, {kernel}, {kernel}", kind)
        + f"e = {operator} <pads = [{PADS.format(kernel // 2)}]> (a, w)"
    )


def product(operator: str, kind: str, size: int) -> str:
    return (
        filled("a", f"{size}, {size}", kind)
        + f"b = Transpose (a) e = {operator} (a, b)"
    )  # fmt: skip


def recurrent(operator: str, gates: int, steps: int) -> str:
    return (
        filled("a", f"{steps}, 1, 1")
        + filled("w", f"1, {gates}, 1")
        + f"e = {operator} <hidden_size = 1> (a, w, w)"
    )


def places(operator: str, count: int) -> str:
    body = filled("a", f"{count}") + filled("i", f"{count}, 1", "int64")
    ends = {
        "GatherND": "e = GatherND (a, i)",
        "ScatterND": "e = ScatterND (a, i, a)",
        "ScatterElements": "j = Flatten <axis = 0> (i) k = Squeeze (j) "
        "e = ScatterElements (a, k, a)",
    }
    return body + ends[operator]


def around(count: int) -> str:
    """Boxes of an image."""
    return (
        filled("a", "1, 1, 2, 2")
        + filled("b", f"{count}, 4")
        + filled("i", f"{count}", "int64")
        + "e = RoiAlign <output_height = 1000, output_width = 1000, sampling_ratio = 9> (a, b, i)"
    )


LONG = {
    "ConvInteger": conv("ConvInteger", "uint8", 256, 17),
    "Conv": conv("Conv", "float", 256, 17),
    "MatMul": product("MatMul", "int32", 3000),
    "MatMul of reals": product("MatMul", "float", 4090),
    "MatMulInteger": product("MatMulInteger", "uint8", 3000),
    "Gemm": product("Gemm", "float", 4090),
    "MaxPool": pool("MaxPool", 2001),
    "AveragePool": pool("AveragePool", 2001),
    "LSTM": recurrent("LSTM", 4, 400_000),
    "GRU": recurrent("GRU", 3, 400_000),
    "RNN": recurrent("RNN", 1, 400_000),
    "GatherND": places("GatherND", 9_000_000),
    "ScatterND": places("ScatterND", 9_000_000),
    "ScatterElements": places("ScatterElements", 9_000_000),
    "RoiAlign": around(4),
}

SHORT = {
    "Conv": (conv("Conv", "float", 5, 3), 72.0),
    "ConvInteger": (conv("ConvInteger", "uint8", 5, 3), 72.0),
    "MatMul": (product("MatMul", "float", 256), 256.0),
    "MatMul of integers": (product("MatMul", "int32", 256), 256.0),
    "Gemm": (product("Gemm", "float", 256), 256.0),
    "MaxPool": (pool("MaxPool", 3), 1.0),
    "AveragePool": (pool("AveragePool", 3), 1.0),
    "RNN": (recurrent("RNN", 1, 50), None),
    "GatherND": (places("GatherND", 9), 1.0),
    "ScatterND": (places("ScatterND", 9), 1.0),
    "ScatterElements": (places("ScatterElements", 9), 1.0),
}


@pytest.mark.parametrize("name", LONG)
def test_long(model_file: ModelFile, name: str) -> None:
    source = load_model(model_file(model(LONG[name])))
    assert "e" in source.constants and source.values["y"].shape == (1, 3)
    assert Context(source).const("e") is None


@pytest.mark.parametrize("name", SHORT)
def test_short(model_file: ModelFile, name: str) -> None:
    body, most = SHORT[name]
    found = Context(load_model(model_file(model(body)))).const("e")
    assert found is not None and (most is None or np.max(found.real) == most)


def test_work_is_bounded_together(model_file: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer, "MAX_WORK_TOGETHER", 4_000_000)
    text = model(product("MatMul", "float", 256) + " f = MatMul (e, a)")
    path = model_file(text)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        "node 'MatMul_4' (MatMul): the constants that nodes compute take too long; expected "
        "products, windows and loops of at most 0.004 s in all of them together; found 0.00419 s "
        "or more. Store the constants in the model, as onnxsim and onnxslim do."
    )
