# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing ``.npz``: plain arrays only, bounded, with errors that say what is wrong.

Keys of samples are ``in0, in1, ...`` or the names of the inputs; the first axis counts them, and
each keeps the model's own batch axis. A sample of a model of fixed batch B is B inferences.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, MidwireError
from .files import written

ARRAYS = "the arrays"
"""What an output is called that cannot be written."""

MAX_BYTES = 8 << 30
"""Largest archive that is read, in bytes unpacked."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that numpy writes."""

_ENCRYPTED = 1
"""Bit of a zip entry's flags."""

_DAMAGE = (
    EOFError,
    MemoryError,  # a header claims a shape that nothing can hold
    NotImplementedError,
    OSError,
    OverflowError,
    TokenError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and the standard library raise for archives, headers and arrays that are damaged."""


def read_npz(
    path: str | os.PathLike[str],
    *,
    error: type[MidwireError] = DataError,
    remedy: str = "Write it with numpy.savez(path, in0=samples)",
) -> dict[str, npt.NDArray[Any]]:
    """Every array of an ``.npz``.

    Parameters
    ----------
    error : class of the error to raise
    remedy : what it advises

    Raises
    ------
    MidwireError
        If the file is missing, not an ``.npz``, damaged or too large, or holds Python objects.
    """
    file = Path(path)
    misnamed = False
    try:
        if misnamed := not file.is_file():
            found = "a folder" if file.is_dir() else "no such file"
        elif not zipfile.is_zipfile(file):
            found = "a file of another kind"
        else:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if size > MAX_BYTES:
                raise error(
                    "the file is too large",
                    where=str(file),
                    expected=f"at most {MAX_BYTES} bytes unpacked",
                    found=f"{size}",
                    remedy="Split the samples over several files",
                )
            if all(map(_plain, entries)):
                with np.load(file, allow_pickle=False) as stored:
                    arrays = {key: stored[key] for key in stored.files}
                # What numpy does not know comes as bytes.
                other = [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]
                if not other:
                    return arrays
                found = f"{other[0]!r}, which is no array"
            else:
                found = "entries that are encrypted, or compressed as numpy never does"
    except _DAMAGE as reason:
        found = "an array of Python objects" if "pickle" in str(reason) else f"damage: {reason}"
    raise error(
        "the arrays cannot be read",
        where=str(file),
        expected="an .npz file of plain arrays",
        found=found,
        remedy=remedy,
        usage=misnamed,
    )


def _plain(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is stored as numpy would."""
    return entry.compress_type in _COMPRESSIONS and not entry.flag_bits & _ENCRYPTED


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an ``.npz`` as :func:`~.files.written` does.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with written(path, ARRAYS) as file, file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def check_numbers(array: npt.NDArray[Any], where: str) -> None:
    """Check that samples are real numbers.

    Raises
    ------
    DataError
        If they are text, complex numbers, dates or anything else.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(
            "not numbers",
            where=where,
            expected="integers, floats or booleans",
            found=f"dtype {array.dtype}",
            remedy="Convert them as the model's input takes them",
        )


def as_taken(array: npt.NDArray[Any], wanted: np.dtype[Any], where: str) -> npt.NDArray[Any]:
    """Samples in the type that a model's input has.

    Raises
    ------
    DataError
        If they are no numbers, or of values that the type cannot hold; NaN and infinity are none.
    """
    check_numbers(array, where)
    if array.dtype == wanted and wanted.kind != "f":
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype(wanted, copy=False)
    lost = ~np.isfinite(converted) if wanted.kind == "f" else converted != array
    if np.any(lost):
        raise DataError(
            "values that the model's input cannot take",
            where=where,
            expected="finite numbers" if wanted.kind == "f" else f"{wanted} values",
            found=f"{np.count_nonzero(lost)} others, the first being {array[lost][0]!s}",
            remedy="Prepare the samples as for ONNX Runtime",
        )
    return converted


def key_of(name: str, index: int, keys: Sequence[str]) -> str | None:
    """The key of an input's samples: its own name, else ``in{index}``; None if there is neither."""
    return next((key for key in (name, f"in{index}") if key in keys), None)


def one_by_one(
    array: npt.NDArray[Any], shape: Sequence[int], batch: int
) -> npt.NDArray[Any] | None:
    """Samples of a tensor as what one inference takes.

    Parameters
    ----------
    array : (N, *sample), the sample with the model's own batch or, where it is alone, without it
    shape : of the tensor for one inference
    batch : samples that the model takes at once

    Returns
    -------
    (N * batch, *shape), the samples of a batch following each other; (N, *shape) where the samples
    came one by one; None if they are of neither shape.
    """
    own, one = tuple(array.shape[1:]), tuple(shape)
    if own == one:
        return array
    if one and own == (batch * one[0], *one[1:]):
        return array.reshape(-1, *one)
    return array[:, None] if one[:1] == (1,) and own == one[1:] else None


def together(array: npt.NDArray[Any], batch: int) -> npt.NDArray[Any]:
    """Results (N * batch, n, ...) of one inference each as the model gives them: (N, batch * n,
    ...).
    """
    return array.reshape(-1, batch * array.shape[1], *array.shape[2:]) if batch > 1 else array
