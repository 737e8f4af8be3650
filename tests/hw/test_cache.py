# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Caches: entries that are whole or not there, what is pruned, and who waits for whom."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from midwire.hw import cache
from midwire.hw.errors import BuildError, ToolError


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_pruning_deletes_the_least_recently_used(tmp_path: Path) -> None:
    now = time.time()
    for index, age in enumerate((0.0, 8000.0, 9000.0, 7000.0)):
        folder = tmp_path / f"entry{index}"
        folder.mkdir()
        (folder / "file").write_bytes(bytes(1000))
        os.utime(folder, (now - age, now - age))
    abandoned = tmp_path / "tmp-abandoned"
    abandoned.mkdir()
    os.utime(abandoned, (now - 2e5, now - 2e5))
    assert cache.prune(tmp_path, limit=2500) == [tmp_path / "entry2", tmp_path / "entry1"]
    assert entries(tmp_path) == ["entry0", "entry3"]
    assert cache.prune(tmp_path, limit=0, keep=tmp_path / "entry3") == []
    assert entries(tmp_path) == ["entry0", "entry3"], "in use within the hour, or the one just made"


def test_pruning_leaves_what_is_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at a large cache takes long; who got a hit in that time still reads it."""
    long_ago = time.time() - 8000
    for name in ("old", "taken"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (long_ago, long_ago))

    def size(folder: Path) -> int:
        cache.entry(tmp_path, "taken", lambda _: None)
        return 1000

    monkeypatch.setattr(cache, "_size", size)
    assert cache.prune(tmp_path, limit=0) == [tmp_path / "old"]
    assert entries(tmp_path) == ["taken"]


def test_pruning_leaves_what_it_may_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's entries, say."""
    long_ago = time.time() - 8000
    for name, age in (("mine", 0), ("theirs", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(1000))
        os.utime(tmp_path / name, (long_ago - age, long_ago - age))
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "theirs":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    assert cache.prune(tmp_path, limit=0) == [tmp_path / "mine"]
    assert entries(tmp_path) == ["theirs"]


def test_a_cache_that_cannot_be_looked_over_ends_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> list[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    assert cache.entry(tmp_path, "key", lambda _: None).is_dir()


def test_the_cache_is_looked_over_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with each of its entries."""
    sized: list[Path] = []

    def size(folder: Path) -> int:
        sized.append(folder)
        return 0

    monkeypatch.setattr(cache, "_size", size)
    cache.store(tmp_path, {"a": b""})
    assert sized == [tmp_path / "a"]
    cache.store(tmp_path, {"b": b""})
    cache.entry(tmp_path, "c", lambda _: None)
    assert sized == [tmp_path / "a"]
    for moved in (-cache.PRUNE_SECONDS - 1, 1e4):  # due, and left by a clock that was wrong
        sized.clear()
        os.utime(tmp_path / "pruned", (time.time() + moved, time.time() + moved))
        cache.entry(tmp_path, f"d{moved}", lambda _: None)
        assert len(sized) > 3


def test_an_entry_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that loses power keeps the name of an executable that is empty."""
    flushed: set[int] = set()
    rename, fsync = Path.rename, os.fsync

    def watched(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def check(path: Path, target: Path) -> Path:
        assert flushed == {each.stat().st_ino for each in (path, *path.rglob("*"))}
        return rename(path, target)

    def fill(folder: Path) -> None:
        (folder / "inner").mkdir()
        for name in ("program", "inner/file"):
            (folder / name).write_text(name)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(Path, "rename", check)
    path = cache.entry(tmp_path, "key", fill)
    assert len(flushed) == 4
    assert (path / "program").read_text() == "program"


def test_a_failed_fill_leaves_nothing(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise BuildError("no")

    with pytest.raises(BuildError):
        cache.entry(tmp_path, "key", fill)
    assert entries(tmp_path) == []


def test_who_waits_for_another_builder_is_told(tmp_path: Path) -> None:
    told, waits = [], threading.Event()

    def fill(folder: Path) -> None:
        assert waits.wait(10)
        (folder / "content").touch()

    def waiting() -> None:
        told.append("waiting")
        waits.set()

    first = threading.Thread(target=cache.entry, args=(tmp_path, "key", fill))
    first.start()
    while not list(tmp_path.glob("tmp-*")):
        time.sleep(0.01)
    path = cache.entry(tmp_path, "key", fill, waiting=waiting)
    first.join()
    assert told == ["waiting"] and (path / "content").exists()
    cache.entry(tmp_path, "key", fill, waiting=waiting)
    assert told == ["waiting"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ToolError) as error:
        cache.entry(tmp_path / "file" / "cache", "key", lambda folder: None)
    assert str(error.value) == (
        f"{tmp_path}/file/cache: the build cache cannot be written; expected a folder that can "
        "be written, on a disk with room; found Not a directory. "
        "Make it writable, or name another cache folder in XDG_CACHE_HOME."
    )


def test_a_cache_in_a_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system names the folder that it cannot make, which is not the cache's own."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(tmp_path / "home"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ToolError, match="the build cache cannot be written"):
        cache.check_writable(tmp_path / "home" / "cache")


def test_a_disk_that_fills_up_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = "the build cache cannot be written; .* found No space left on device"
    with pytest.raises(ToolError, match=said):
        cache.entry(tmp_path, "key", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ToolError, match=said):
        cache.store(tmp_path, {"a": b"first"})
    assert entries(tmp_path) == []


def test_what_an_entry_is_made_of_is_not_the_cache(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache.entry(tmp_path / "cache", "key", lambda _: (tmp_path / "x.v").unlink())


def test_small_entries_are_one_file(tmp_path: Path) -> None:
    assert cache.stored(tmp_path / "none", "a") is None
    cache.store(tmp_path / "small", {"a": b"first", "b": b""})
    assert cache.stored(tmp_path / "small", "a") == b"first"
    assert cache.stored(tmp_path / "small", "b") == b""
    assert cache.stored(tmp_path / "small", "c") is None
    # What is there already is what somebody reads.
    cache.store(tmp_path / "small", {"a": b"second", "c": b"third"})
    assert cache.stored(tmp_path / "small", "a") == b"first"
    assert cache.stored(tmp_path / "small", "c") == b"third"
    assert entries(tmp_path / "small") == ["a", "b", "c"]


@pytest.mark.parametrize("damaged", [b"", b"half of wh", None], ids=["empty", "cut", "gone"])
def test_a_damaged_small_entry_is_made_again(tmp_path: Path, damaged: bytes | None) -> None:
    """What a machine that lost power may leave, or a cleaner of old files."""
    cache.store(tmp_path, {"a": b"what was written"})
    (file,) = (tmp_path / "a").iterdir()
    if damaged is None:
        file.unlink()
    else:
        file.write_bytes(damaged)
    assert cache.stored(tmp_path, "a") is None
    cache.store(tmp_path, {"a": b"what was written"})
    assert cache.stored(tmp_path, "a") == b"what was written"
    assert entries(tmp_path) == ["a"]


def test_a_hit_keeps_a_small_entry(tmp_path: Path) -> None:
    """Pruning takes what nobody looked at."""
    cache.store(tmp_path, {"old": bytes(1000), "used": bytes(1000)})
    long_ago = time.time() - 8000
    for name in ("old", "used"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    assert cache.stored(tmp_path, "used") is not None
    assert cache.prune(tmp_path, limit=1500) == [tmp_path / "old"]
    assert cache.stored(tmp_path, "old") is None


def test_small_entries_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ToolError, match="the build cache cannot be written"):
        cache.store(tmp_path / "file" / "cache", {"a": b"first"})
