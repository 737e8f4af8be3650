# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The model's outputs from many replies, in one ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...hw.errors import DataError
from ...hw.formats.npz import write_npz
from ...hw.formats.tensor import AnyArray
from .requests import RequestOutcome


class Answers:
    """Collects outputs as replies come. The tag of a request is its sample, and whether it may
    execute anywhere.
    """

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._arrays: dict[str, list[AnyArray]] = {}
        self._form = ""

    def add(self, outcome: RequestOutcome) -> None:
        """Keep the outputs of a reply; an outcome without any has nothing to keep.

        Raises
        ------
        DataError
            If they have other names, shapes or types than those of the first reply: what a cloud
            says of its outputs is not checked by anybody else.
        """
        if outcome.outputs is None:
            return
        sample, _ = outcome.request.tag
        form = _form(outcome.outputs)
        if self._samples and form != self._form:
            raise DataError(
                "the outputs of two replies do not go into one array",
                where=f"the reply for sample {sample}",
                expected=f"{self._form}, as for sample {self._samples[0]}",
                found=form,
                remedy="Look at the model and at the cloud; without --output every reply counts",
            )
        self._form = form
        self._samples.append(sample)
        for name, array in outcome.outputs.items():
            self._arrays.setdefault(name, []).append(array)

    def write(self, path: Path) -> None:
        """Write ``out0, out1, ...``, and ``sample``: which sample each is of, in order of arrival.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        arrays: dict[str, AnyArray] = {"sample": np.array(self._samples, np.int64)}
        for index, column in enumerate(self._arrays.values()):
            arrays[f"out{index}"] = np.stack(column)
        write_npz(path, arrays)


def _form(outputs: Mapping[str, AnyArray]) -> str:
    """Names, types and shapes, in their order."""
    each = (f"{name!r} {array.dtype} {list(array.shape)}" for name, array in outputs.items())
    return ", ".join(each) or "nothing"
