# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What quantisation costs at the end: a model's own outputs against those of the split model.

Rules, cited by tests as A1 to A3:

A1. The *relative error* of an output is the root of the noise's power over the signal's, both
    summed over all elements of all samples; of several outputs, the worst counts. Outputs of int64
    have none: they hold classes or places (a label, ArgMax), whose difference is no amount. Nor
    have those that are no tensors of numbers (text, maps).
A2. *Top-1* is about the first output that scores classes: one that has two elements or more, all on
    its last axis. A label is right where the largest score (of several, the first) is at its index.
    Where no output scores classes, it is about the first of one int64, which is the class itself.
    Where there is none either, the first of several int64 counts (a map of classes), each element
    by itself; labels are not about that.
A3. The *drop* is in points, hundredths of the labelled samples: what the model itself gets right,
    less what the split model does. A negative one is a gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import DataError, MidwireError
from .formats.tensor import AnyArray
from .sqnr import NOT_MEASURED, SignalAndNoise, Sqnr, pieces

LABELS = "label"
"""Key of an ``.npz`` that holds the right class of every sample."""


@dataclass(frozen=True)
class Accuracy:
    """Rules A1 to A3.

    Attributes
    ----------
    samples : how many were compared
    sqnr : of the worst output; None where none has amounts
    agreement : share of samples with the same class; None where no output says one
    top1_float, top1_split : share of samples whose label is right; None without labels
    """

    samples: int
    sqnr: Sqnr | None
    agreement: float | None = None
    top1_float: float | None = None
    top1_split: float | None = None

    @property
    def relative_error(self) -> float | None:
        """Rule A1, as a fraction; infinite where there is noise and no signal, None where no output
        has amounts.
        """
        return None if self.sqnr is None else float(10 ** (-self.sqnr.level / 20))

    @property
    def drop(self) -> float | None:
        """Rule A3; None without labels."""
        if self.top1_float is None or self.top1_split is None:
            return None
        return 100 * (self.top1_float - self.top1_split)

    @property
    def text(self) -> str:
        """For people, in one line."""
        parts = []
        if self.relative_error is not None:
            parts.append(f"relative error {100 * self.relative_error:.3g} %")
        if self.top1_float is not None and self.top1_split is not None:
            parts.append(
                f"top-1 {100 * self.top1_split:.1f} % split, {100 * self.top1_float:.1f} % float"
            )
        if self.agreement is not None:
            parts.append(f"same class {100 * self.agreement:.1f} %")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """As JSON values; ``top1_drop_points`` is :attr:`drop`."""
        return {
            "samples": self.samples,
            "sqnr_db": None if self.sqnr is None else self.sqnr.db,
            "sqnr": NOT_MEASURED if self.sqnr is None else self.sqnr.text,
            "relative_error": self.relative_error,
            "agreement": self.agreement,
            "top1_float": self.top1_float,
            "top1_split": self.top1_split,
            "top1_drop_points": self.drop,
        }


class Scores:
    """Gathers :class:`Accuracy`, sample by sample.

    Parameters
    ----------
    labels : the right class of every sample, in the order in which they are added
    """

    def __init__(self, labels: AnyArray | None = None) -> None:
        self._labels = labels
        self._powers: dict[str, SignalAndNoise] = {}
        self._same = 0.0
        self._float = self._split = self._classified = self._mapped = self._samples = 0

    def add(self, want: Mapping[str, Any], got: Mapping[str, Any]) -> None:
        """The outputs of one sample: the model's own, and the split model's."""
        for name, own in amounts(want).items():
            powers = self._powers.setdefault(name, SignalAndNoise())
            for mine, other in pieces(own, got[name]):
                a, b = mine.astype(np.float64), other.astype(np.float64)
                # What is the same on both sides is no noise, infinity included.
                differs = a != b
                powers.add(a[~differs & np.isfinite(a)], a[~differs & np.isfinite(a)])
                powers.add(a[differs], b[differs])
        self._classify(want, got)
        self._samples += 1

    def _classify(self, want: Mapping[str, Any], got: Mapping[str, Any]) -> None:
        arrays = {name: array for name, array in want.items() if isinstance(array, np.ndarray)}
        name = class_output({name: (a.dtype.name, a.shape) for name, a in arrays.items()})
        if name is None:
            name = next((n for n, a in arrays.items() if a.dtype == CLASSES and a.size), None)
            if name is not None:
                self._same += float(np.mean(want[name] == got[name]))
                self._mapped += 1
            return
        own, other = _class_in(want[name]), _class_in(got[name])
        self._classified += 1
        self._same += own == other
        if self._labels is not None:
            right = int(self._labels[self._samples])
            self._float += own == right
            self._split += other == right

    def result(self) -> Accuracy | None:
        """All of it; None if nothing was compared."""
        count = self._classified + self._mapped
        if not self._powers and not count:
            return None
        ratios = (powers.sqnr for powers in self._powers.values())
        worst = min(ratios, key=lambda ratio: ratio.level, default=None)
        labelled = bool(self._classified) and self._labels is not None
        return Accuracy(
            samples=self._samples,
            sqnr=worst,
            agreement=self._same / count if count else None,
            top1_float=self._float / count if labelled else None,
            top1_split=self._split / count if labelled else None,
        )


def amounts(outputs: Mapping[str, Any]) -> dict[str, AnyArray]:
    """Those outputs of a model that have a relative error (rule A1)."""
    return {
        name: array
        for name, array in outputs.items()
        if isinstance(array, np.ndarray) and array.dtype.kind in "iuf" and array.dtype != CLASSES
    }


CLASSES = "int64"
"""Element type of outputs that hold classes or places."""


def class_output(outputs: Mapping[str, tuple[str, Sequence[int]]]) -> str | None:
    """The output that says the class (rule A2), of those with their element types and shapes; None
    if none does.
    """

    def scores(dtype: str, shape: Sequence[int]) -> bool:
        alone = bool(shape) and shape[-1] > 1 and int(np.prod(shape)) == shape[-1]
        return alone and dtype != CLASSES and np.dtype(dtype).kind in "iuf"

    found = [name for name, (dtype, shape) in outputs.items() if scores(dtype, shape)]
    found += [n for n, (dtype, s) in outputs.items() if dtype == CLASSES and np.prod(s) == 1]
    return next(iter(found), None)


def _class_in(output: AnyArray) -> int:
    return int(output.argmax()) if output.size > 1 else int(output.item())


def labels_of(
    arrays: Mapping[str, AnyArray],
    count: int,
    where: str,
    error: type[MidwireError] = DataError,
) -> npt.NDArray[np.int64] | None:
    """The labels in an ``.npz``, one for each of ``count`` inferences; None if it has none.

    Raises
    ------
    MidwireError
        ``error``, if they are no integers, or not one for each.
    """
    if LABELS not in arrays:
        return None
    found = arrays[LABELS]
    if found.size != count or found.dtype.kind not in "iub":
        raise error(
            "labels that do not fit the samples",
            where=f"{where}: array {LABELS!r}",
            expected=f"{count} integers, the class of each sample",
            found=f"{found.dtype} {list(found.shape)}",
            remedy="Give one class index a sample, or leave the array out",
        )
    return found.reshape(-1).astype(np.int64)
