# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which layer is blamed, and which widths are found, where the loss is a formula."""

from __future__ import annotations

from itertools import product

import pytest

from midwire.compiler.errors import ModelError
from midwire.compiler.quantise.loss import Measured
from midwire.compiler.quantise.search import ALIKE, ROUNDS, alike, blame, cheapest, price_at
from midwire.compiler.quantise.widths import Layer, Widths
from midwire.hw.accuracy import Accuracy
from midwire.hw.sqnr import SignalAndNoise

LAYERS = [Layer(name, (name, f"node_{name}")) for name in "abc"]
NOISE = {"a": 1e-2, "b": 1e-4, "c": 1e-3}
"""At 8 bits."""

PRICES = {
    name: {bits: factor * bits**2 for bits in (2, 4, 8, 12, 16)}.get
    for name, factor in (("a", 1.0), ("b", 5.0), ("c", 2.0))
}


class Slice:
    """Noise is the sum over the layers, times four a bit."""

    def __init__(self) -> None:
        self.tried: list[Widths] = []

    def __call__(self, widths: Widths) -> Measured:
        self.tried.append(widths)
        powers = SignalAndNoise()
        powers.signal = 1.0
        powers.noise = noise({layer.tensor: widths.of(layer) for layer in LAYERS})
        return Measured((), Accuracy(1, powers.sqnr))


def noise(bits: dict[str, int]) -> float:
    return sum(NOISE[name] * 4.0 ** (8 - width) for name, width in bits.items())


def cost(bits: dict[str, int]) -> float:
    return sum(price_at(PRICES[name], width) for name, width in bits.items())


def test_the_layer_that_helps_most_is_blamed() -> None:
    found = blame(LAYERS[::-1], Widths(8, {"node_c": 6}), Slice())
    assert found is not None and found.layer == "c"
    assert found.widths == Widths(8, {"c": 10})
    found = blame(LAYERS, Widths(8), Slice())
    assert found is not None and found.widths == Widths(8, {"a": 12})
    found = blame(LAYERS, Widths(16, {"b": 14}), Slice())
    assert found is not None and found.widths == Widths(16, {"b": 16})
    assert blame(LAYERS, Widths(16), Slice()) is None


@pytest.mark.parametrize("limit", [0.5, 0.1, 0.01, 0.001])
def test_the_cheapest_widths(limit: float) -> None:
    """Within a tenth of the best of all, found by trying all, and measured to keep the limit."""
    tries = Slice()

    def keeps(measured: Measured) -> bool:
        assert measured.accuracy is not None and measured.accuracy.relative_error is not None
        return measured.accuracy.relative_error <= limit

    widths, measured = cheapest(LAYERS, PRICES, Slice(), tries, keeps)
    assert keeps(measured) and len(tries.tried) <= ROUNDS + 1
    bits = {layer.tensor: widths.of(layer) for layer in LAYERS}
    every = (dict(zip("abc", each, strict=True)) for each in product(range(2, 17), repeat=3))
    best = min(cost(each) for each in every if noise(each) <= limit**2)
    assert cost(bits) <= 1.25 * best


def test_noise_that_is_not_as_predicted() -> None:
    """None at all until it jumps, as a decision tree's does: the search still finds where."""

    def attempt(widths: Widths) -> Measured:
        powers = SignalAndNoise()
        powers.signal = 1.0
        powers.noise = float(any(widths.of(layer) < 6 for layer in LAYERS))
        return Measured((), Accuracy(1, powers.sqnr))

    def keeps(measured: Measured) -> bool:
        assert measured.accuracy is not None
        return measured.accuracy.relative_error == 0

    widths, measured = cheapest(LAYERS, PRICES, attempt, attempt, keeps)
    assert keeps(measured)
    assert all(6 <= widths.of(layer) <= 7 for layer in LAYERS)


def test_a_limit_that_no_widths_keep() -> None:
    tries = Slice()
    widths, _ = cheapest(LAYERS, PRICES, tries, tries, lambda measured: False)
    assert widths == Widths(16) and tries.tried == [widths]


def test_widths_without_exact_hardware_are_passed_over() -> None:
    formula = Slice()

    def attempt(widths: Widths) -> Measured:
        if widths.of(LAYERS[1]) < 8:
            raise ModelError("no finisher is exact", where="b")
        return formula(widths)

    widths, _ = cheapest(LAYERS, PRICES, attempt, attempt, lambda measured: True)
    assert widths.of(LAYERS[1]) >= 8


def test_prices_between_those_known() -> None:
    assert price_at({4: 10.0, 8: 20.0}.get, 6) == 15.0
    assert price_at({4: 10.0, 8: 20.0}.get, 2) == 10.0
    assert price_at({4: 10.0, 8: 20.0}.get, 16) == 20.0
    nothing: dict[int, float] = {}
    assert price_at(nothing.get, 8) == 0.0
    asked: list[int] = []

    def price(bits: int) -> float:
        asked.append(bits)
        return 1.0

    assert price_at(price, 10) == 1.0
    assert set(asked) == {8, 12}, "others take as long to find, and nobody needs them"


def test_the_same_for_all_layers() -> None:
    """The first that keeps the limit, or the last one tried."""
    tries = Slice()
    widths, _ = alike(tries, lambda measured: len(tries.tried) == 2)
    assert widths == Widths(ALIKE[1]) and tries.tried == [Widths(bits) for bits in ALIKE[:2]]
    tries = Slice()
    widths, measured = alike(tries, lambda measured: False)
    assert widths == Widths(16) and len(tries.tried) == len(ALIKE)
    assert measured.accuracy is not None


@pytest.mark.parametrize("most", [16, 12, 9])
def test_widths_that_have_no_hardware(most: int) -> None:
    tries = Slice()

    def attempt(widths: Widths) -> Measured:
        if max(widths.of(layer) for layer in LAYERS) > most:
            raise ModelError("too wide", where="", expected="", found="", remedy="")
        return tries(widths)

    widths, _ = cheapest(LAYERS, PRICES, tries, attempt, lambda measured: True)
    assert max(widths.of(layer) for layer in LAYERS) <= most
    widths, _ = cheapest(LAYERS, PRICES, tries, attempt, lambda measured: False)
    assert widths == Widths({16: 16, 12: 12, 9: 8}[most])
    if most < min(ALIKE):
        with pytest.raises(ModelError, match="too wide"):
            alike(attempt, lambda measured: False)
    else:
        widths, _ = alike(attempt, lambda measured: False)
        assert widths == Widths(max(bits for bits in ALIKE if bits <= most))
