# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Builds plain C++ programs, without Verilator, into the same cache."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..hw import cache
from ..hw.errors import BuildError
from ..hw.jobs import Job, run_jobs
from .build import COMMON, FAST, machine_flags
from .toolchain import digest, find_compiler


def build_program(
    name: str,
    sources: Sequence[Path],
    generated: Mapping[str, str],
    *,
    cache_dir: Path | None = None,
) -> Path:
    """Build an executable of C++17 sources.

    Parameters
    ----------
    name : of the file
    sources : headers beside them are found, and count in the cache key
    generated : text of further headers, by file name
    cache_dir : :func:`midwire.hw.cache.default_folder` by default

    Returns
    -------
    Path
        The executable, in the cache.

    Raises
    ------
    ToolchainError
        If there is no C++ compiler.
    BuildError
        If a file is missing, or the compiler refuses it.
    """
    compiler = find_compiler()
    headers = sorted({header for source in sources for header in source.parent.glob("*.h")})
    command = [*compiler.command, *COMMON, *FAST, *machine_flags(compiler)]
    own = [*sources, *headers]
    try:
        texts = [path.read_bytes() for path in own]
    except OSError as error:
        raise BuildError(
            "the file cannot be read",
            where=str(error.filename),
            found=str(error.strerror),
            remedy="Reinstall midwire",
        ) from error
    names = [path.name for path in own]
    key = digest("1", name, shlex.join(command), compiler.version, *names, *texts, repr(generated))

    def fill(temporary: Path) -> None:
        for file, text in generated.items():
            (temporary / file).write_text(text)
        folders = sorted({f"-I{source.parent}" for source in sources})
        words = [*command, f"-I{temporary}", *folders, *map(str, sources), "-pthread"]
        run_jobs([Job(f"compiling {name}", [*words, "-o", str(temporary / name)])])

    return cache.entry(cache_dir or cache.default_folder(), key, fill) / name
