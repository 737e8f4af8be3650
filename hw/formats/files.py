# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Output files: whole or not at all, and what cannot be written is said."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError


@contextlib.contextmanager
def written(path: str | os.PathLike[str], what: str) -> Iterator[Path]:
    """Gives a file to write beside the target, and renames it after: nothing is ever half-written.

    Folders on the way are made. ``what`` names it in an error, in the plural or with an article.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    file = Path(path)
    with _said(file, what):
        file.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own, it gets the permissions of any other new file.
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
            fresh = Path(folder) / f"fresh{file.suffix}"
            yield fresh
            fresh.replace(file)


def check_output(path: str | os.PathLike[str], what: str) -> None:
    """Check that a file can be written there, before long work whose results it is to take.

    Nothing is made, and a file that is there stays.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    file = Path(path)
    with _said(file, what):
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


@contextlib.contextmanager
def _said(file: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise DataError(
            f"{what} cannot be written",
            where=str(file),
            expected="a path that can be written, on a disk with room",
            found=reason.strerror or str(reason),
            remedy="Choose another output file",
        ) from reason
