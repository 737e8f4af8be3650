# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What all finishers' hardware shares: names of images, and beats until the channels come again."""

from __future__ import annotations

import pytest

from midwire.hw.finish.base import folds_of, numbered


def test_names_of_several_images() -> None:
    assert numbered("a.hex", 0, 12) == "a_0_12.hex"
    assert numbered("a.b.hex", 3) == "a.b_3.hex"
    assert numbered("a", 3) == "a_3"
    assert numbered("a.hex") == "a.hex"


def test_lanes_divide_the_channels() -> None:
    assert [folds_of(6, lanes) for lanes in (1, 2, 3, 6)] == [6, 3, 2, 1]
    for lanes in (4, 5, 12, 0, -1, -2):
        with pytest.raises(ValueError) as caught:
            folds_of(6, lanes)
        assert str(caught.value) == (
            f"6 channels are not a multiple of {lanes} lanes; choose lanes that divide them"
        )
