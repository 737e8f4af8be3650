# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Windows over several images of one sample: the answers of each image by itself, in RTL too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.pipeline import compile_model
from midwire.hw.formats.bundle import Bundle
from midwire.hw.kernels.reference import Reference
from midwire.sim.verify import verify

from .test_bounds import ModelFile

SEED = 20277
IMAGES = 3

PLANE = (
    "a = Conv <pads = [1, 1, 1, 1], strides = [2, 1]> (i, wide)",
    "r = Relu (a)",
    "d = Conv <group = 4, dilations = [1, 2], pads = [1, 1, 1, 1]> (r, each)",
    "m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d)",
    "v = AveragePool <kernel_shape = [2, 2], pads = [1, 0, 0, 0]> (m)",
    "p = Pad (v, around)",
    "o = ConvTranspose <strides = [2, 2], pads = [1, 0, 1, 0]> (p, back)",
)
LINE = (
    "a = Conv <pads = [2, 1]> (i, wide)",
    "m = MaxPool <kernel_shape = [2], strides = [2]> (a)",
    "o = ConvTranspose <strides = [3]> (m, back)",
)
FORMS: dict[str, tuple[tuple[str, ...], tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "plane": (PLANE, (2, 6, 5), {"wide": (4, 2, 3, 3), "each": (4, 1, 3, 3), "back": (4, 2, 3, 3)}),
    "line": (LINE, (2, 12), {"wide": (3, 2, 4), "back": (3, 2, 2)}),
}


def quantised(name: str) -> str:
    """A tensor, rounded to a grid: all that read it read that."""
    rounded = f"{name}_q = QuantizeLinear (real_{name}, step, zero)"
    return f"{rounded} {name} = DequantizeLinear ({name}_q, step, zero)"


def compiled(model_file: ModelFile, folder: Path, form: str, images: int) -> Bundle:
    """The form, on grids that are given, for so many images a sample."""
    steps, image, kernels = FORMS[form]
    sizes = ", ".join(map(str, (images, *image)))
    known = [f"int64[{len(image) + 1}] s = {{{sizes}}}", "int64[8] around = {0,0,1,0,0,0,0,2}"]
    known.append("float small = {0.01}, float step = {0.03}, int8 zero = {-3}, int8 none = {0}")
    body = ["real_x = Identity (given)", quantised("x"), "i = Reshape (x, s)"]
    for seed, (name, shape) in enumerate(kernels.items()):
        values = np.random.default_rng(seed).integers(-127, 128, shape).ravel()
        whole = ", ".join(map(str, shape))
        known.append(f"int8[{whole}] {name}_q = {{{', '.join(map(str, values))}}}")
        body.append(f"{name} = DequantizeLinear ({name}_q, small, none)")
    for step in steps:
        name = step.partition(" ")[0]
        body += [f"real_{step}", quantised(name)]
    unknown = ", ".join("MNOP"[: len(image) + 1])
    text = f"g (float[1, {sizes}] given) => (float[{unknown}] o) <{', '.join(known)}> "
    path = model_file(f"{text} {{ {' '.join(body)} }}")
    return compile_model(path, folder / f"b{images}").bundle


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize("form", FORMS)
def test_each_image_by_itself(model_file: ModelFile, tmp_path: Path, form: str) -> None:
    print("seed", SEED)
    several, one = (compiled(model_file, tmp_path, form, images) for images in (IMAGES, 1))
    rng = np.random.default_rng(SEED)
    x = rng.integers(-128, 128, (8, math.prod(several.manifest.inputs[0].shape)))
    (together,) = Reference.of_bundle(several).run_wire([x])
    (apart,) = Reference.of_bundle(one).run_wire([x.reshape(8 * IMAGES, -1)])
    np.testing.assert_array_equal(together, apart.reshape(8, -1))
    assert len(np.unique(apart)) > 50
    assert verify(several, vectors=3, seed=SEED).passed
