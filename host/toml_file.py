# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""TOML files that a user wrote, as they are read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..hw.errors import DataError


def load_toml(path: Path, remedy: str, most_bytes: int | None = None) -> dict[str, Any]:
    """The tables of a file of at most ``most_bytes``, if there is a limit.

    Raises
    ------
    DataError
        If it cannot be read, with this remedy; wrong usage if it is not there, or no file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(-1 if most_bytes is None else most_bytes + 1)
        if most_bytes is not None and len(content) > most_bytes:
            raise ValueError(f"more than {most_bytes} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            "cannot be read",
            where=str(path),
            expected="a TOML file",
            found=(error.strerror if isinstance(error, OSError) else "") or str(error),
            remedy=remedy,
            usage=isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)),
        ) from error
