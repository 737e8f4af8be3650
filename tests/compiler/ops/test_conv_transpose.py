# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Transposed convolutions of any geometry against the definition, and behind one what is absorbed
before elements too many are dropped.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from midwire.compiler.ir.lowered import OutputSpec
from midwire.compiler.ir.quant import QTensor
from midwire.compiler.ops._model import one_node
from midwire.compiler.ops.base import Const, Unsupported
from midwire.compiler.ops.conv_transpose import ConvTranspose, spreads
from midwire.compiler.ops.slice import Slice
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.formats.tensor import Layout
from midwire.hw.numeric import QType
from midwire.hw.session import open_session
from midwire.sim.verify import verify


def random_attributes(rng: np.random.Generator) -> tuple[list[int], list[int], dict[str, Any]]:
    """Sizes, a kernel, and attributes that leave an output."""
    rank = int(rng.integers(1, 4))
    most = 6 if rank < 3 else 4
    spatial, kernel = ([int(n) for n in rng.integers(1, most, rank)] for _ in range(2))
    strides = [int(n) for n in rng.integers(1, 5, rank)]
    dilations = [int(n) for n in rng.integers(1, 4, rank)]
    extra = [int(rng.integers(0, max(s, d))) for s, d in zip(strides, dilations, strict=True)]
    attributes: dict[str, Any] = {
        "strides": strides,
        "dilations": dilations,
        "output_padding": extra,
    }
    pads = [int(n) for n in rng.integers(0, 6, 2 * rank)]
    for axis, (n, k) in enumerate(zip(spatial, kernel, strict=True)):
        whole = strides[axis] * (n - 1) + dilations[axis] * (k - 1) + 1 + extra[axis]
        pads[axis] = min(pads[axis], whole - 1)
        pads[axis + rank] = min(pads[axis + rank], whole - 1 - pads[axis])
    attributes["pads"] = pads
    return spatial, kernel, attributes


@pytest.mark.parametrize("seed", range(4))
def test_phases_are_the_definition(seed: int, arithmetic: Any) -> None:
    """One convolution of all phases, in the order of the result, cropped: 100 geometries each."""
    print(f"seed {seed}")
    rng = np.random.default_rng([20261, seed])
    for _ in range(100):
        spatial, kernel, attributes = random_attributes(rng)
        rank = len(spatial)
        group, depth, per = (int(n) for n in rng.integers(1, 3, 3))
        channels, outputs = group * depth, group * per
        # Channels of the output first; ONNX has (I, O / group, ...).
        weight = rng.integers(-8, 8, (outputs, depth, *kernel, *[1] * (2 - rank)))
        split = weight.reshape(group, per, depth, *kernel).swapaxes(1, 2)
        onnx_weight = split.reshape(channels, per, *kernel)
        axes = spreads(attributes, kernel, spatial)
        axes += spreads({}, [1], [1]) * (2 - rank)
        scale, zero = (
            np.ones((1,) * weight.ndim, np.float32),
            np.zeros((1,) * weight.ndim, np.int64),
        )
        op = ConvTranspose(Const(weight, scale, zero), None, tuple(axes), group)
        shape = (1, channels, *spatial)
        x = rng.integers(-8, 8, shape)
        qtype = QType(4, True, 1.0, 0)
        tensor = QTensor("x", shape, qtype, Layout.channels_last(shape))
        made = (1, outputs, *(axis.output for axis in axes[:rank]))
        (call,) = op.lower([tensor], [OutputSpec(made, None)])
        (meaning,) = call.results
        ((acc,),) = call.kernel.run(tensor.layout.to_stream(x)[None])
        crop = getattr(meaning, "crop", None)
        found = meaning.layout.from_stream(acc.ravel(), meaning.whole)  # type: ignore[union-attr]
        if crop is not None:
            assert isinstance(crop, Slice)
            found = found[tuple(slice(a, a + n) for a, _, n in crop.ranges)]
        w = {1: onnx_weight.astype(np.float32)}
        model = one_node("ConvTranspose", [shape], made, w, group=group, **attributes)
        feeds = {"x0": arithmetic.exact(x.astype(object), 1)}
        want = arithmetic.evaluate(model, feeds, {})["y"]
        np.testing.assert_array_equal(found, want.at(Fraction(1)), str(attributes))


def test_no_multiplier_works_on_zeros() -> None:
    """A kernel that the stride divides has as many taps in all phases as it has itself."""
    (axis,) = spreads({"strides": [2], "pads": [1, 1]}, [4], [8])
    assert (axis.taps, axis.groups, axis.lead) == (2, 9, 1)
    (axis,) = spreads({"strides": [2]}, [2], [8])
    assert (axis.taps, axis.groups, axis.lead) == (1, 8, 0)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"strides": [0]}, "expected 1 strides of at least 1, found [0]"),
        ({"pads": [0]}, "expected 2 pads of at least 0, found [0]"),
        ({"pads": [4, 3]}, "expected an output along spatial axis 0, found none"),
        (
            {"output_shape": [9]},
            "expected an output of at most 7 along spatial axis 0, found 9",
        ),
        ({"auto_pad": "SOME"}, "expected a known auto_pad, found 'SOME'"),
    ],
)
def test_refusals(attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsupported) as caught:
        spreads(attributes, [3], [5])
    assert str(caught.value) == reason


TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
decoder (float[1,2,3,3] x) => (float[1,3,6,6] y) {
  a = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
  b = BatchNormalization (a, s, o, m, v)
  c = Elu (b)
  y = Conv <pads = [1, 1, 1, 1]> (c, k)
}
"""


def test_what_follows_is_absorbed_before_the_crop(tmp_path: Path, no_nic: None) -> None:
    """Normalisation differs between channels, which every phase has; a convolution reads it."""
    del no_nic
    rng = np.random.default_rng(3)
    model = onnx.parser.parse_model(TEXT)
    shapes: dict[str, tuple[int, ...]] = {"w": (2, 3, 4, 4), "k": (3, 3, 3, 3)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    arrays |= {name: rng.uniform(0.5, 2, 3) for name in "somv"}
    model.graph.initializer.extend(
        numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()
    )
    path = tmp_path / "decoder.onnx"
    path.write_bytes(model.SerializeToString())
    x = rng.uniform(-1, 1, (8, 1, 2, 3, 3)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=x)
    bundle = compile_model(
        path, tmp_path / "bundle", Options(calibrate=tmp_path / "samples.npz")
    ).bundle
    assert bundle.manifest.slice["macs_share"] == 1
    found = verify(bundle, inputs=tmp_path / "samples.npz", vectors=3, stall=0.4, seed=1)
    assert found.passed, found
    assert found.sqnr_db is not None and found.sqnr_db > 30
    session = open_session(path)
    assert session.run(None, {"x": x[0]})[0].shape == (1, 3, 6, 6)
