# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The compiler's errors; the whole hierarchy is drawn in :mod:`midwire.hw.errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ..hw.errors import MidwireError

_T = TypeVar("_T")


class ModelError(MidwireError):
    """The ONNX file: unreadable, inconsistent, with shapes that cannot be bound, or unsupported."""


class OptionError(ModelError):
    """An option has a value that makes no sense, whatever the model."""

    usage = True


class FitError(MidwireError):
    """The slice takes more than the part, or the budget, has."""


class CutError(MidwireError):
    """``--from`` and ``--to`` do not name a usable cut, or there is nothing to cut out.

    ``support`` are the verdicts on all nodes (:class:`~.select.support.NodeSupport`), with those
    that no slice can be built with; none where that was not tried.
    """

    usage = True
    support: tuple[Any, ...] = ()


class NoSliceError(CutError):
    """Nothing can be cut out there: the cuts are right, and the model is to blame."""

    usage = False


class CalibrationError(MidwireError):
    """Calibration data is missing, or of the wrong name, shape or type, or holds NaN."""


class LossError(MidwireError):
    """The quantised slice loses more accuracy than was allowed."""


class CompilerBug(AssertionError):
    """A defect of ours, which no model and no option should reach: the message says which rule of
    which program is broken.
    """


def checked(program: _T, wrong: Sequence[str]) -> _T:
    """The program, in which ``verify`` of its representation found nothing wrong.

    Raises
    ------
    CompilerBug
        If it did.
    """
    if wrong:
        raise CompilerBug("; ".join(wrong))
    return program
