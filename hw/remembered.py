# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers that take long to find and little to keep: each is searched for once a user.

An answer is named by its question and by the sources that answer it, so that an update of midwire
asks anew.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from functools import cache as cached
from pathlib import Path

from . import cache
from .errors import ToolError

HERE = Path(__file__).resolve().parent
"""The folder of these sources."""

_ANSWERING = ("datapath", "finish", "formats", "kernels", "nic", "numeric", "timing")


def remembered(question: bytes, answer: Callable[[], bytes]) -> bytes:
    """What ``answer`` gives, or what it gave when the same was asked before.

    Parameters
    ----------
    question : all that the answer depends on, and its kind
    answer : made without asking anybody else

    A cache that cannot be written is no error here: the next one searches again.
    """
    folder = cache.default_folder("answers")
    key = hashlib.sha256(f"{sources()}\n".encode() + question).hexdigest()
    known = cache.stored(folder, key)
    if known is None:
        known = answer()
        with contextlib.suppress(ToolError):
            cache.store(folder, {key: known})
    return known


@cached
def sources() -> str:
    """Digest of the sources that decide what hardware is, as it was when it was first asked for."""
    return sources_now()


def sources_now() -> str:
    """The same as it is now."""
    return digest_of(files())


def digest_of(paths: Iterable[Path]) -> str:
    """Digest of some of these sources, names included."""
    lines = [
        f"{path.relative_to(HERE)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in paths
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files() -> list[Path]:
    """Those sources."""
    folders = [path for name in _ANSWERING for path in (HERE / name).rglob("*.py")]
    return sorted([HERE / "elaborate.py", *folders])
