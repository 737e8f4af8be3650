# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A finisher's ONNX form in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midwire.hw.finish.base import Finisher
from midwire.hw.numeric import IntArray


@pytest.fixture(scope="session")
def in_onnx(run_onnx: Callable[..., IntArray]) -> Callable[..., IntArray]:
    """``in_onnx(finisher, *accs)``: :meth:`Finisher.apply`, by ONNX Runtime (F1)."""

    def run(finisher: Finisher, *accs: IntArray) -> IntArray:
        return run_onnx(finisher.onnx, accs)

    return run
