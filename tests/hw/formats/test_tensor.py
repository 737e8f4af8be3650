# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The order of a tensor's elements on a stream, under any views, and its bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.compiler.ops.transpose import Transpose
from midwire.hw.errors import DataError
from midwire.hw.formats.tensor import Layout, TensorSpec, as_frames
from midwire.hw.numeric import QType


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    dims = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    return Layout(dims, tuple(draw(st.permutations(range(len(dims))))))


@given(layouts(), st.data())
def test_a_transpose_describes_the_same_stream(layout: Layout, data: st.DataObject) -> None:
    shape = layout.dims
    if data.draw(st.booleans()) and len(shape) > 2:
        shape = (shape[0], math.prod(shape[1:3]), *shape[3:])
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    tensor = np.arange(math.prod(shape)).reshape(shape)
    stream = layout.to_stream(tensor)
    moved = tensor.transpose(perm)
    after = Transpose(perm).view(layout, shape, moved.shape)
    assert after is not None
    np.testing.assert_array_equal(after.to_stream(moved), stream)
    np.testing.assert_array_equal(after.from_stream(stream, moved.shape), moved)
    before = Transpose(perm).view_back(after, shape, moved.shape)
    assert before is not None
    assert before.same_order(layout)


@given(layouts())
def test_canonical_layouts_tell_orders_apart(layout: Layout) -> None:
    count = math.prod(layout.dims)
    order = layout.to_stream(np.arange(count))
    raster = np.array_equal(order, np.arange(count))
    assert layout.same_order(Layout.raster((count,))) == raster
    np.testing.assert_array_equal(layout.canonical.to_stream(np.arange(count)), order)


def test_axes_that_cross_have_no_common_refinement() -> None:
    assert Layout((2, 3), (1, 0)).refined((3, 2)) is None
    assert Layout((4, 6), (1, 0)).refined((8, 3)) == (
        Layout((4, 2, 3), (1, 2, 0)),
        [[0, 1], [2]],
    )


@pytest.mark.parametrize("dims", [(), (1,), (1, 1, 1)])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_element_has_no_axes_to_refine(dims: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert Layout.raster(dims).refined(shape) == (Layout((), ()), [[]] * len(shape))
    view = Transpose(tuple(range(len(shape)))[::-1]).view(Layout.raster(dims), shape, shape[::-1])
    assert view is not None
    assert view.to_stream(np.array(7).reshape(shape)).tolist() == [7]
    assert view.from_stream(np.array([7]), shape).tolist() == np.array(7).reshape(shape).tolist()


def test_a_layout_must_permute_its_axes() -> None:
    with pytest.raises(ValueError, match=r"^perm must permute 2 axes, not \(0, 0\)$"):
        Layout((2, 3), (0, 0))


@pytest.mark.parametrize("values", [["a", "b", "c"], [1j, 0, 0], [None, 0, 0]])
def test_what_is_no_real_number_is_refused(values: list[Any]) -> None:
    spec = TensorSpec("x", (3,), "float32", QType(8, True, 1.0), Layout.raster((3,)), 3)
    with pytest.raises(DataError) as caught:
        spec.to_wire(np.array(values))
    assert str(caught.value) == (
        "tensor 'x': values are not real numbers; expected float32 values; found "
        f"{np.array(values).dtype} values. Give an array of numbers."
    )


IMAGE = TensorSpec(
    "x", (1, 2, 3, 1), "int8", QType(8, True, 1.0), Layout((1, 2, 3, 1), (0, 2, 3, 1)), 2
)


@pytest.mark.parametrize("shape", [(1, 2, 3, 1), (2, 3), (1, 2, 3), (2, 1, 3), (6,)])
def test_a_tensor_may_be_flat_or_lack_axes_of_length_1(shape: tuple[int, ...]) -> None:
    wire = IMAGE.to_wire(np.arange(6).reshape(shape))
    assert wire.tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("shape", [(1, 3, 1, 2), (3, 2), (1, 6), (1, 2, 3, 2), (0,), ()])
def test_another_shape_is_refused_though_its_elements_may_be_as_many(
    shape: tuple[int, ...],
) -> None:
    with pytest.raises(DataError) as caught:
        IMAGE.to_wire(np.zeros(shape, np.int8))
    assert str(caught.value) == (
        f"tensor 'x': wrong shape; expected shape [1, 2, 3, 1]; found shape {list(shape)}. "
        "Give one sample at a time, with the model's own axes in their order."
    )


RANGE = "values out of range; expected integers from -128 to 127; found"
QUANTISE = "Quantise the data as the model's own input."


@pytest.mark.parametrize(
    ("values", "problem", "remedy"),
    [
        (np.array([2**64 - 1, 0], np.uint64), f"{RANGE} 0 to 18446744073709551615", QUANTISE),
        ([-1e300, 7], f"{RANGE} -1e+300 to 7.0", QUANTISE),
        (
            [0.5, 1],
            "values are not integers; expected int8 values; found float64 with a fraction",
            QUANTISE,
        ),
        (
            [np.nan, 1],
            "values are not finite; expected numbers; found NaN or infinity",
            "Clean the input data.",
        ),
    ],
)
def test_integers_that_a_tensor_cannot_have(values: Any, problem: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        IMAGE.to_wire(np.tile(values, 3))
    assert str(caught.value) == f"tensor 'x': {problem}. {remedy}"


def test_frames_of_bytes_and_wire_tensors_are_inverse() -> None:
    spec = TensorSpec("x", (3,), "float32", QType(12, True, 1.0), Layout.raster((3,)), 3)
    wires = np.array([[-2048, 0, 2047], [1, -1, 258]], spec.qtype.wire_dtype)
    assert as_frames(wires).tolist()[1] == [1, 0, 255, 255, 2, 1]
    assert np.array_equal(spec.of_frames(as_frames(wires)), wires)


def integer_spec(shape: tuple[int, ...] = (3,)) -> TensorSpec:
    return TensorSpec("x", shape, "int8", QType(4, True, 0.5, 1), Layout.raster((3,)), 3)


def test_integers_are_taken_as_they_are_up_to_the_ends_of_their_type() -> None:
    spec = integer_spec()
    assert spec.to_wire([-8, 0, 7]).tolist() == [-8, 0, 7]
    for beyond in ([-9, 0, 7], [-8, 0, 8]):
        with pytest.raises(DataError) as caught:
            spec.to_wire(beyond)
        assert str(caught.value) == (
            "tensor 'x': values out of range; expected integers from -8 to 7; found "
            f"{min(beyond)} to {max(beyond)}. Quantise the data as the model's own input."
        )


@pytest.mark.parametrize("shape", [(0,), (3, 0), (-3, -1)])
def test_a_tensor_has_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^shape must be integers of at least 1, not "):
        integer_spec(shape)


def test_integers_that_mean_themselves_saturate_within_their_own_type() -> None:
    """N16: what a look-up cannot tell apart need not be on the wire."""
    spec = TensorSpec("ids", (1, 4), "int64", QType(5, True, 1.0), Layout.raster((1, 4)), 1)
    wire = spec.to_wire(np.array([[-(2**63), -16, 15, 2**63 - 1]]))
    assert (wire.dtype, wire.tolist()) == (np.dtype("i1"), [-16, -16, 15, 15])
    narrow = TensorSpec("ids", (2,), "uint8", QType(7, False, 1.0), Layout.raster((2,)), 1)
    assert narrow.to_wire([3, 255]).tolist() == [3, 127]
    with pytest.raises(DataError) as caught:
        narrow.to_wire([3, 256])
    assert str(caught.value) == (
        "tensor 'ids': values out of range; expected integers from 0 to 255; found 3 to 256. "
        f"{QUANTISE}"
    )
    whole = TensorSpec("ids", (2,), "uint8", QType(8, False, 1.0), Layout.raster((2,)), 1)
    assert not whole.saturates and not integer_spec().saturates
