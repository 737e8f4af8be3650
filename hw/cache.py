# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Content-addressed caches of builds: ``<user cache>/midwire/<kind>/<key>/``.

An entry is a folder named by the SHA-256 of everything that went into it. It is filled under
another name and renamed, so it is there whole or not at all; builders of one key take turns by a
lock file, so the second finds the work of the first. A hit touches the entry; when the cache is
looked over and above its limit, entries go, least recently used first. Deleting the folder is
always safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import platformdirs

from .errors import ToolError

LIMIT_BYTES = 8 << 30
"""Size that pruning keeps the cache under: some hundred models of the size of a ResNet."""

IN_USE_SECONDS = 3600.0
"""Entries touched this recently are never pruned."""

STALE_SECONDS = 24 * 3600.0
"""Age at which a temporary folder was surely left by a process that was killed."""

PRUNE_SECONDS = 600.0
"""Time from one look over the whole cache to the next: it may have many thousand entries."""

_PRUNED = "pruned"
"""Name of the file that was touched when the cache was last looked over."""

_SINGLE = "content"
"""Name of the file of an entry that is one file."""


def default_folder(kind: str = "verilated") -> Path:
    """The user's cache of Verilated models, or of another kind of builds (moved by
    ``XDG_CACHE_HOME``, as usual).
    """
    return Path(platformdirs.user_cache_dir("midwire", appauthor=False)) / kind


def entry(
    folder: Path,
    key: str,
    fill: Callable[[Path], None],
    *,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """Return the folder of an entry, filling it if it is not there.

    Parameters
    ----------
    folder : Path
        The cache; created if missing.
    key : str
        Name of the entry.
    fill : callable
        Gets an empty temporary folder to fill. What it raises goes through, and leaves nothing.
    waiting : callable, optional
        Called before waiting for another process that fills the entry.

    Raises
    ------
    ToolError
        If the cache cannot be written.
    """
    path = folder / key
    if _touch(path):
        return path
    check_writable(folder)
    with _writing(folder), locked(folder / f"{key}.lock", waiting):
        if _touch(path):
            return path
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=folder))
        try:
            fill(temporary)
            _flush(temporary)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    _prune_when_due(folder, keep=path)
    return path


def stored(folder: Path, key: str) -> bytes | None:
    """A small entry that is one file; None if it is not there, or damaged.

    Its digest stands in front of it: where a machine lost power, a file that was renamed may have
    its name and not its content.
    """
    path = folder / key / _SINGLE
    with contextlib.suppress(OSError):
        found = path.read_bytes()
        size = hashlib.sha256().digest_size
        if found[:size] == hashlib.sha256(found[size:]).digest():
            _touch(path.parent)
            return found[size:]
    return None


def store(folder: Path, contents: Mapping[str, bytes], *, anew: bool = False) -> None:
    """Add entries of one file each; what is there already stays, unless it is damaged.

    ``anew``: it is replaced. For what is no more than a guess: between the old one and the new one
    there may be none.

    Raises
    ------
    ToolError
        If the cache cannot be written.
    """
    check_writable(folder)
    with _writing(folder):
        for key, content in contents.items():
            if not anew and stored(folder, key) is not None:
                continue
            if (folder / key).exists():
                with contextlib.suppress(FileNotFoundError):
                    _remove(folder / key)
            temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=folder))
            try:
                (temporary / _SINGLE).write_bytes(hashlib.sha256(content).digest() + content)
                with contextlib.suppress(OSError):  # another process was faster
                    temporary.rename(folder / key)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    _prune_when_due(folder)


def prune(folder: Path, *, limit: int = LIMIT_BYTES, keep: Path | None = None) -> list[Path]:
    """Delete least recently used entries until the cache is below a limit.

    What cannot be looked at or removed, another user's say, is left.

    Returns
    -------
    list of Path
        What was deleted.
    """
    sized: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            age = _age(path)
            if path.name.startswith("tmp-"):
                if age > STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                sized.append((age, _size(path), path))
    total = sum(size for _, size, _ in sized)
    deleted: list[Path] = []
    for age, size, path in sorted(sized, reverse=True):
        if total <= limit or age < IN_USE_SECONDS:
            break
        if path == keep:
            continue
        with contextlib.suppress(OSError):
            if _age(path) < IN_USE_SECONDS:  # somebody took it while all were being looked at
                continue
            _remove(path)
            (folder / f"{path.name}.lock").unlink(missing_ok=True)
            deleted.append(path)
            total -= size
    return deleted


def _prune_when_due(folder: Path, keep: Path | None = None) -> None:
    """Prune, unless somebody did a short time ago.

    No error ends a build that is done.
    """
    stamp = folder / _PRUNED
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            if 0 <= _age(stamp) < PRUNE_SECONDS:
                return
        stamp.touch()
        prune(folder, keep=keep)


def check_writable(folder: Path) -> None:
    """Make the cache if it is missing; before long work whose result is to go there.

    Raises
    ------
    ToolError
        If it cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system says against writing, a full disk say, as our error."""
    try:
        yield
    except OSError as error:
        at = folder if error.filename is None else Path(error.filename)
        if not at.is_relative_to(folder) and not folder.is_relative_to(at):
            raise  # not about the cache: something that the entry is made of, say
        raise ToolError(
            "the build cache cannot be written",
            where=str(folder),
            expected="a folder that can be written, on a disk with room",
            found=error.strerror or str(error),
            remedy="Make it writable, or name another cache folder in XDG_CACHE_HOME",
        ) from error


def _touch(path: Path) -> bool:
    with contextlib.suppress(OSError):  # a hit in a cache that only others may write is a hit
        os.utime(path)
    return path.is_dir()


def _age(path: Path) -> float:
    """Seconds since an entry was made or taken."""
    return time.time() - path.stat().st_mtime


def _flush(folder: Path) -> None:
    """Wait until a folder's content is on the disk: where a machine loses power, the name that it
    gets next may come before what is in it, and would be trusted from then on.
    """
    for path in (*folder.rglob("*"), folder):
        if path.is_file() or path.is_dir():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    """Delete an entry; renamed first: a reader sees it whole or not at all."""
    doomed = Path(tempfile.mkdtemp(prefix="tmp-", dir=path.parent))
    try:
        path.rename(doomed)  # an empty folder makes way
    finally:
        shutil.rmtree(doomed, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock file, waiting for other processes; ``waiting`` is called before a wait."""
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            # Pruning may have deleted the file that we waited for: then it locks nobody else out.
            try:
                same = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:
                same = False
            if same:
                yield
                return
