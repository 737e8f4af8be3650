# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Attention of opset 23 to 25 means what is written out for it, and is refused where it does not
fit into that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.select.inspection import inspect_model

ModelFile = Callable[..., Path]
RunOnnx = Callable[..., dict[str, Any]]

SEED = 20261126

FOUR = "float[N, 4, 3, 8] q, float[N, 4, 5, 8] k, float[N, 4, 5, 6] v"
FLAT = "float[N, 3, 32] q, float[N, 5, 32] k, float[N, 5, 24] v"
FEW = "float[N, 4, 3, 8] q, float[N, 2, 5, 8] k, float[N, 2, 5, 6] v"
FEW_FLAT = "float[N, 3, 32] q, float[N, 5, 16] k, float[N, 5, 12] v"
OUT, OUT_FLAT = "float[N, 4, 3, 6] y", "float[N, 3, 24] y"
STAYS = "bool[3, 5] m = {1,1,0,0,1, 0,1,1,1,1, 0,0,1,0,0}"
HEADS = "<q_num_heads = 4, kv_num_heads = 4>"
FEWER = "<q_num_heads = 4, kv_num_heads = 2>"

FORMS = {
    "four axes": f"({FOUR}) => ({OUT}) {{ y = Attention (q, k, v) }}",
    "three axes": f"({FLAT}) => ({OUT_FLAT}) {{ y = Attention {HEADS} (q, k, v) }}",
    "scaled": f"({FOUR}) => ({OUT}) {{ y = Attention <scale = 0.25> (q, k, v) }}",
    "capped": f"({FOUR}) => ({OUT}) {{ y = Attention <softcap = 2.5> (q, k, v) }}",
    "causal": f"({FOUR}) => ({OUT}) {{ y = Attention <is_causal = 1> (q, k, v) }}",
    "masked": f"({FOUR}) => ({OUT}) <{STAYS}> {{ y = Attention (q, k, v, m) }}",
    "added": f"({FOUR}, float[N, 1, 3, 5] m) => ({OUT}) {{ y = Attention (q, k, v, m) }}",
    "a mask for each head": (
        f"({FEW}, float[N, 4, 3, 5] m) => ({OUT}) {{ y = Attention (q, k, v, m) }}"
    ),
    "fewer keys": f"({FEW}) => ({OUT}) {{ y = Attention (q, k, v) }}",
    "fewer keys in three axes": (
        f"({FEW_FLAT}) => ({OUT_FLAT}) {{ y = Attention {FEWER} (q, k, v) }}"
    ),
    "fewer keys, masked": (
        f"({FEW_FLAT}, float[3, 5] m) => ({OUT_FLAT}) {{ y = Attention {FEWER} (q, k, v, m) }}"
    ),
    "cached": (
        "(float[N, 4, 3, 8] q, float[N, 2, 1, 8] k, float[N, 2, 1, 6] v, float[N, 2, 4, 8] pk, "
        f"float[N, 2, 4, 6] pv) => ({OUT}, float[N, 2, 5, 8] nk, float[N, 2, 5, 6] nv)"
        "{ y, nk, nv = Attention <is_causal = 1> (q, k, v, , pk, pv) }"
    ),
    "cached in three axes": (
        "(float[N, 3, 32] q, float[N, 1, 16] k, float[N, 1, 12] v, float[N, 2, 4, 8] pk, "
        f"float[N, 2, 4, 6] pv) => ({OUT_FLAT}, float[N, 2, 5, 8] nk, float[N, 2, 5, 6] nv)"
        f"{{ y, nk, nv = Attention {FEWER} (q, k, v, , pk, pv) }}"
    ),
    **{
        f"scores, mode {mode}": (
            f"({FEW}) => ({OUT}, float[N, 4, 3, 5] s)"
            f"{{ y, , , s = Attention <qk_matmul_output_mode = {mode}, is_causal = 1> (q, k, v) }}"
        )
        for mode in (0, 1, 3)
    },
}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_out(form: str, opset: int, model_file: ModelFile) -> None:
    """ONNX Runtime computes the same for both."""
    path = model_file(f"g {FORMS[form]}", opset, ir=11)
    source = load_model(path)
    assert "Attention" not in source.operators
    assert {source.in_file(node).kind for node in source.nodes} == {"Attention"}
    rng = np.random.default_rng(SEED)
    feed = {v.name: rng.normal(0, 1, v.shape).astype(np.float32) for v in source.inputs}
    wanted = onnxruntime.InferenceSession(path.read_bytes()).run(None, feed)
    found = onnxruntime.InferenceSession(source.model.SerializeToString()).run(None, feed)
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # the scale is another product


WINDOWS = {
    "left_window_size = 1, right_window_size = 2": (1, 2),
    "left_window_size = 1, right_window_size = -1": (1, 9),
    "left_window_size = 1, is_causal = 1": (1, 0),
    "right_window_size = 0": (9, 0),
}


@pytest.mark.parametrize("options", WINDOWS)
def test_a_window(options: str, model_file: ModelFile) -> None:
    """ONNX Runtime has no windows yet: how far a query sees is what they say."""
    source = load_model(
        model_file(f"g ({FOUR}) => ({OUT}) {{ y = Attention <{options}> (q, k, v) }}", 25, ir=13)
    )
    (stays,) = (a for name, a in source.initialisers.items() if name.endswith("in_reach"))
    left, right = WINDOWS[options]
    wanted = [[-left <= key - query <= right for key in range(5)] for query in range(3)]
    assert stays.tolist() == wanted


def test_all_of_it_is_supported(model_file: ModelFile) -> None:
    report = inspect_model(model_file(f"g {FORMS['three axes']}", 23, ir=11))
    assert report["slice"]["macs_share"] == 1.0
    assert all(node["supported"] for node in report["nodes"])


REFUSED = {
    "a count of keys": (
        (
            "(float[1, 2, 3, 4] q, int64[1] n) => (float[1, 2, 3, 4] y)"
            "{ y = Attention (q, q, q, , , , n) }"
        ),
        "expected keys that all count, found nonpad_kv_seqlen; a mask may leave some out",
    ),
    "a computed choice": (
        (
            "(float[1, 2, 3, 4] q, bool[3, 3] m) => (float[1, 2, 3, 4] y)"
            "{ y = Attention (q, q, q, m) }"
        ),
        (
            "expected a boolean mask that the model stores, found 'm', which is computed; a mask "
            "of reals, which is added, may be"
        ),
    ),
    "no key": (
        (
            "(float[1, 2, 2, 4] q) => (float[1, 2, 2, 4] y) <bool[2, 2] m = {0, 1, 1, 1}>"
            "{ y = Attention <is_causal = 1> (q, q, q, m) }"
        ),
        "expected a key for every query, found one that 'm' leaves none",
    ),
    "a short mask": (
        (
            "(float[1, 2, 3, 4] q, float[3, 2] m) => (float[1, 2, 3, 4] y)"
            "{ y = Attention (q, q, q, m) }"
        ),
        "expected a mask for each of 3 keys, found the shape [3, 2]",
    ),
    "heads that do not divide": (
        (
            "(float[1, 3, 4] q) => (float[1, 3, 4] y)"
            "{ y = Attention <q_num_heads = 2, kv_num_heads = 4> (q, q, q) }"
        ),
        (
            "expected heads that divide rows, those of keys those of queries, found 2 and 4 heads "
            "of the shapes [1, 3, 4], [1, 3, 4], [1, 3, 4]"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, model_file: ModelFile) -> None:
    text, sentence = REFUSED[name]
    report = inspect_model(model_file(f"g {text}", 24, ir=11))
    (node,) = [node for node in report["nodes"] if node["op"] == "Attention"]
    assert (node["supported"], node["reason"]) == (False, sentence)


def test_rows_of_several_samples(model_file: ModelFile) -> None:
    """A fixed batch is that many samples: what is written out says no batch."""
    text = f"g {FORMS['fewer keys in three axes']}".replace("[N,", "[2,")
    source = load_model(model_file(text, 23, ir=11))
    assert (source.batch, source.batch_obstacle) == (2, "")
    assert source.values["y"].shape == (1, 3, 24)


def test_the_constants_are_its_type(model_file: ModelFile) -> None:
    text = f"g {FORMS['causal']}".replace("float[", "float16[")
    source = load_model(model_file(text, 23, ir=11))
    (lowest,) = (array for name, array in source.initialisers.items() if "lowest" in name)
    assert lowest.dtype.name == "float16"
    assert float(lowest) == float(np.finfo(np.float16).min)
