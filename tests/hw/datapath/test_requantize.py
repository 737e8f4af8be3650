# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from midwire.hw.finish.fit import fit_requantiser
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.numeric import Affine, IntType, QType

CASES = {
    "ties": (QType(8, True, 0.25, 3), [Fraction(1, 8)] * 4, [Fraction(0)] * 4),
    "channels": (
        QType(8, False, 0.5, 7),
        [Fraction(1, 300), Fraction(-1, 77), Fraction(0), Fraction(1, 512)],
        [Fraction(1, 3), Fraction(-5), Fraction(9), Fraction(-1, 4)],
    ),
    "identity": (QType(16, True, 1.0), [Fraction(1)] * 4, [Fraction(0)] * 4),
    "narrow": (QType(1, False, 1.0), [Fraction(1, 20000)] * 4, [Fraction(1, 2)] * 4),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("lanes", [1, 4])
def test_every_value_of_a_fitted_function(name: str, lanes: int, built: Any, exercise: Any) -> None:
    """F1: N5 in RTL equals the exact function, for every accumulator of 16 bits."""
    out, scales, offsets = CASES[name]
    functions = [
        Affine((scale,), offset, floor=Fraction(-30), ceil=Fraction(25))
        if name == "channels"
        else Affine((scale,), offset)
        for scale, offset in zip(scales, offsets, strict=True)
    ]
    fitted = fit_requantiser(functions, [[(-32768, 32767)]] * 4, out)
    kernel = EltwiseKernel((IntType(16, True),), 65536 * 4, 4, 4)
    implementation = built(kernel, [fitted], [out.integers], lanes)
    # Channel n of pixel p gets the number p, so that every channel sees every number.
    x = np.repeat(np.arange(-32768, 32768)[:, None], 4, axis=1)[None]
    wanted = fitted.apply(*kernel.run(x.reshape(1, -1))[0])
    rng = np.random.default_rng(0)
    for p, c in zip(rng.integers(0, 65536, 200), rng.integers(0, 4, 200), strict=True):
        assert wanted[0, p, c] == functions[c].exact([int(x[0, p, c])], out)
    exercise(kernel, implementation, [fitted], [x])


def test_sums_narrower_than_the_fraction(built: Any, exercise: Any) -> None:
    """N5: the fraction of a negative sum has the bits of its sign."""
    offset, low, high = np.array([[-3], [-2], [2]])
    narrow = MultiplyShift(np.array([[1]]), offset, 8, 200, 0, low, high)
    kernel = EltwiseKernel((IntType(3, False),), 8, 1, 1)
    implementation = built(kernel, [narrow], [IntType(3, True)], 1)
    x = np.arange(8)[None]
    assert narrow.apply(x[:, :, None]).ravel().tolist() == [-1, -1, -1, 0, 0, 0, 0, 0]
    exercise(kernel, implementation, [narrow], [x])


def test_messages(requantiser: Any) -> None:
    parameters = requantiser(np.random.default_rng(0), 6, [(0, 99)], (8, True))
    with pytest.raises(ValueError, match="6 channels are not a multiple of 4 lanes"):
        parameters.unit(4, [(0, 99)], IntType(8, True))
    with pytest.raises(ValueError, match="a requantiser of 1 terms needs as many ranges, not 2"):
        parameters.unit(2, [(0, 99)] * 2, IntType(8, True))
    with pytest.raises(
        ValueError, match=r"results from -1\d+ to 127 do not fit in IntType\(bits=8, signed=False\)"
    ):
        parameters.unit(2, [(0, 99)], IntType(8, False))
