# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A few bytes of a model name any size: such models are refused by a sentence, at once. Each of
these once took memory, time, or the whole process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops._sequences import Sequences
from midwire.compiler.ops.base import Unsupported
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]

HUGE = "h = ConstantOfShape (n)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            (
                f"g (float[1, 4, 3] x) => (float[1, 4, 3] y) <int64[1] n = {{16000000}}> {{ {HUGE}"
                "  y = Sub (x, h) }"
            ),
            (
                "expected constants of at most 262144 elements beside a computed tensor, found the "
                "shape [16000000]"
            ),
        ),
        (
            (
                "g (float[1, 4, 9, 9] x) => (float[1, 4, M, M] y) { y = AveragePool <"
                'kernel_shape = [3, 1099511627776], auto_pad = "SAME_UPPER"> (x) }'
            ),
            (
                "expected at most 33554432 pixels with their pads, and taps, found [11, "
                "1099511627784] and [3, 1099511627776]"
            ),
        ),
        (
            (
                "g (float[1, 6, 8] x) => (float[M, K, L] y) <int64 a = {0}, int64 e = "
                "{1099511627776}"
                ", int64 s = {1}, int64[1] o = {1}> { r = Range (a, e, s)  y = Slice (x, r, o, o) }"
            ),
            "expected a constant 'r', found a computed one",
        ),
        (
            (
                "g (float[1, 4] x) => (float[1, 4] y) <float[4] c = {1, 2, 3, 4}, float[3] d = "
                "{1, 2, 3}> { s = SpaceToDepth <blocksize = 2> (x)  y = Min (s, c, d) }"
            ),
            "expected a known shape, found none for 'y'",
        ),
        (
            "g (float[1, 4, 5] x) => (float[1, 4, 5] y) <float[2] s = {1, 2}> { y = PRelu (x, s) }",
            (
                "expected a constant that broadcasts to the output's shape [1, 4, 5], found the "
                "shape [2]"
            ),
        ),
        (
            "g (float[1, 4, 5] x) => (float[1, 4, 5] y) { y = Transpose <perm = [0, 1]> (x) }",
            "expected each of the 3 axes once in perm, found [0, 1]",
        ),
        (
            (
                "g (float[1, 4, 5] x) => (float[1, 4, 9] y) <int64[6] p = {0, 0, 2, 0, 0, 2}, "
                "float[0] v = {}> { y = Pad (x, p, v) }"
            ),
            "expected one value to pad with, found none",
        ),
        (
            (
                "g (float[1, 4, 9] x) => (float[M] y) { y = ReduceSum <noop_with_empty_axes = 2> "
                "(x) }"
            ),
            "expected noop_with_empty_axes of 0 or 1, found 2",
        ),
        (
            "g (float[1, 4096, 4096] x) => (float[1, 8192, M] y) { y = Concat <axis = 1> (x, x) }",
            (
                "expected tensors of at most 16777216 elements, found the shape [1, 8192, 4096] "
                "for 'y'"
            ),
        ),
        (
            "g (int32[1, 9] x) => (float[1, 9] y) <float[0] t = {}> { y = Gather (t, x) }",
            "expected a table with rows, found the shape [0]",
        ),
        (
            "g (float[1, 1, 3] x) => (float[1, 0, 3] y) <float[0, 1] c = {}> { y = Pow (x, c) }",
            "expected a constant with elements, found the shape [0, 1]",
        ),
        (
            (
                "g (float[1, 1, 2] x) => (float[1, 1, 4] y) <float[3] s = {1, 1, 2}> { y = Resize "
                '<mode = "cubic", cubic_coeff_a = inf> (x, , s) }'
            ),
            "expected a finite cubic_coeff_a, found inf",
        ),
    ],
)
def test_what_no_machine_computes_is_refused(text: str, reason: str, model_file: ModelFile) -> None:
    assert import_all(load_model(model_file(text)))[-1].reason == reason


def test_an_operand_with_more_axes_than_the_output(model_file: ModelFile) -> None:
    """Inference takes the first operand's shape before operator version 8."""
    text = "g (float[1, 2, 3] x) => (float[1, 2, 3] y) <float[2, 1] c = {1, 2}> { y = Max (c, x) }"
    assert import_all(load_model(model_file(text, 7)))[-1].reason == (
        "expected an operand that broadcasts to the output's shape [2, 1], found the shape "
        "[1, 2, 3]"
    )


def test_computed_operands_of_which_the_second_has_more_axes(model_file: ModelFile) -> None:
    text = "g (float[1, 4, 3] x, float[1, 4, 3, 5] z) => (float[M, 4, 3] y) { y = Max (x, z) }"
    assert import_all(load_model(model_file(text, 7)))[-1].reason == (
        "expected an operand that broadcasts to the output's shape [1, 4, 3], found the shape "
        "[1, 4, 3, 5]"
    )


def test_an_input_that_fits_into_no_memory(model_file: ModelFile) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(model_file("g (float[1, 2147483648] x) => (float[1, M] y) { y = Neg (x) }"))
    assert str(caught.value) == (
        "input 'x': the model takes more than fits in memory; expected at most 134217728 "
        "elements; found [1, 2147483648]. Export the model with the shapes that it is run with."
    )


def test_pads_of_nothing_are_no_hardware(model_file: ModelFile) -> None:
    """However large the tensor is."""
    text = "g (float[1, 8, 12, 12] x) => (float[1, 8, 12, 12] y) <int64[8] p = {0,0,0,0,0,0,0,0}>"
    (support,) = import_all(load_model(model_file(text + ' { y = Pad <mode = "edge"> (x, p) }')))
    assert [node.op.is_view for node in support.nodes] == [True]


def test_a_normalizer_of_a_scalar(model_file: ModelFile) -> None:
    text = "g (float x) => (float y) { y = ai.onnx.ml.Normalizer <NORM> (x) }"
    path = model_file(text.replace("NORM", 'norm = "MAX"'), imports=', "ai.onnx.ml" : 1')
    assert import_all(load_model(path))[-1].reason == "expected an axis of [], found -1"


def test_a_split_that_says_more_outputs_than_it_has(model_file: ModelFile) -> None:
    """ONNX's inference makes room for them all."""
    text = "g (float[1, 4] x) => (float[1, M] y, float[1, N] z) { y, z = Split <PLACES> (x) }"
    with pytest.raises(ModelError) as caught:
        load_model(model_file(text.replace("PLACES", "axis = 1, num_outputs = 2147483648"), 18))
    assert str(caught.value) == (
        "node 'Split_0' (Split): a Split has another number of outputs than it says; expected "
        "num_outputs 2; found 2147483648. Export the model again, or repair the attribute."
    )


def test_states_that_grow_beyond_integers_of_tensors() -> None:
    kernel: Any = SimpleNamespace(state=(-(2**40), 2**40), kept=(), results=1, sequences=1, units=2)
    whatever: Any = None
    with pytest.raises(Unsupported) as caught:
        Sequences(whatever, whatever).inner(kernel)
    assert str(caught.value) == (
        "expected states of at most 32 bits, found 42; a clip, or an activation that is bounded, "
        "would keep them small"
    )


def test_parts_that_are_left_out_are_named(model_file: ModelFile) -> None:
    """ONNX Runtime ends the process at such a Split."""
    text = "g (float[1, 4, 6] x) => (float[1, 4, 2] y) { y, a, b = Split <axis = 2> (x) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 11]> {text}')
    model.graph.node[0].output[1:] = ["", ""]
    source = load_model(model_file(model))
    assert list(source.nodes[0].output) == ["y", "Split_0::1", "Split_0::2"]
    assert all(node.supported for node in import_all(source))


def test_inputs_that_say_nothing_at_the_end_are_dropped(model_file: ModelFile) -> None:
    """ONNX Runtime ends the process at such a LayerNormalization."""
    text = """
    g (float[1, 4] x) => (float[1, 4] y) <float[4] s = {1, 2, 3, 4}>
    { y = LayerNormalization (x, s, ) }"""
    source = load_model(model_file(text, opset=17))
    assert list(source.nodes[0].input) == ["x", "s"]
