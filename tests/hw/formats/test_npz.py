# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays in files: whole or not at all, and never Python objects."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from midwire.hw.errors import DataError
from midwire.hw.formats import files, npz


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.npz"
    npz.write_npz(path, {"out0": np.arange(6, dtype=np.int8).reshape(2, 3)})
    assert npz.read_npz(path)["out0"].tolist() == [[0, 1, 2], [3, 4, 5]]
    npz.write_npz(path, {"out0": np.zeros(1)})
    assert npz.read_npz(path)["out0"].shape == (1,)
    assert [item.name for item in path.parent.iterdir()] == ["x.npz"]


def test_what_is_written_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    npz.write_npz(tmp_path / "x.npz", {"out0": np.zeros(1)})
    assert (tmp_path / "x.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError) as caught:
        npz.write_npz(tmp_path / "file" / "new" / "x.npz", {})
    assert str(caught.value) == (
        f"{tmp_path}/file/new/x.npz: the arrays cannot be written; expected a path that can be "
        "written, on a disk with room; found Not a directory. Choose another output file."
    )
    with pytest.raises(DataError) as checked:
        files.check_output(tmp_path / "file" / "new" / "x.npz", "the arrays")
    assert str(checked.value) == str(caught.value)
    with pytest.raises(DataError, match="found Is a directory"):
        files.check_output(tmp_path, "the arrays")


def test_a_check_of_a_target_changes_no_file(tmp_path: Path) -> None:
    npz.write_npz(tmp_path / "x.npz", {"out0": np.ones(1)})
    files.check_output(tmp_path / "x.npz", "the arrays")
    files.check_output(tmp_path / "new" / "y.npz", "the arrays")
    assert npz.read_npz(tmp_path / "x.npz")["out0"].tolist() == [1]
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["x.npz"]


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.npz"
    np.savez_compressed(path, in0=np.zeros(100_000))
    size = 128 + 800_000  # numpy's header, and doubles
    monkeypatch.setattr(npz, "MAX_BYTES", size)
    assert npz.read_npz(path)["in0"].shape == (100_000,)
    monkeypatch.setattr(npz, "MAX_BYTES", size - 1)
    with pytest.raises(DataError, match=f"too large; expected at most {size - 1} bytes unpacked"):
        npz.read_npz(path)


@pytest.mark.parametrize("what", ["none", "folder", "text", "cut", "object", "member"])
def test_what_is_no_archive_of_arrays(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, in0=np.arange(1000))
    whole = path.read_bytes()
    if what in ("none", "folder"):
        path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("in0")
    elif what == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "object":
        np.savez(path, in0=np.array([{}], dtype=object))
    elif what == "member":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("in0.npy", b"no array")
    with pytest.raises(DataError, match=r"the arrays cannot be read; expected an \.npz file of"):
        npz.read_npz(path)


def _entry(header: str) -> bytes:
    """An array without elements behind a header of one's own."""
    text = f"{header:<117}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({10**14},)}}", "Unable to allocate"),
        (f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({2**70},)}}", "too large"),
        ("{'descr': '<i8', 'shape': (", "EOF"),
    ],
)
def test_headers_that_no_array_has(tmp_path: Path, header: str, found: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("in0.npy", _entry(header))
    with pytest.raises(DataError, match=rf"cannot be read; .* found damage: .*{found}"):
        npz.read_npz(tmp_path / "x.npz")


def test_compressed_arrays_that_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, in0=np.arange(10_000))
    content = bytearray(path.read_bytes())
    content[200:240] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read; .* found damage: Error -3 while"):
        npz.read_npz(path)


@pytest.mark.parametrize("how", ["encrypted", "lzma"])
def test_entries_that_numpy_never_writes(tmp_path: Path, how: str) -> None:
    path = tmp_path / "x.npz"
    compression = zipfile.ZIP_LZMA if how == "lzma" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("in0.npy", _entry(""))
    if how == "encrypted":
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"found entries that are encrypted, or compressed as"):
        npz.read_npz(path)


def test_names_come_before_positions() -> None:
    assert npz.key_of("image", 0, ["in0", "image"]) == "image"
    assert npz.key_of("image", 1, ["in0", "in1"]) == "in1"
    assert npz.key_of("image", 2, ["in0", "in1"]) is None


def test_samples_of_a_batch_are_taken_one_by_one() -> None:
    """With the model's batch, with a batch of 1, and without any."""
    x = np.arange(24).reshape(2, 3, 4)  # two samples of a batch of 3, four elements each
    one = np.arange(24).reshape(6, 1, 4)
    for stored in (x, one, one[:, 0]):
        np.testing.assert_array_equal(npz.one_by_one(stored, (1, 4), 3), one)
    assert npz.one_by_one(x, (1, 4), 2) is None
    assert npz.one_by_one(x, (1, 5), 3) is None
    np.testing.assert_array_equal(npz.together(one, 3), x)
    assert npz.together(one, 1) is one


def test_a_sample_may_be_several_rows() -> None:
    rows = np.arange(48).reshape(2, 6, 4)  # two batches of 3 samples of 2 rows
    found = npz.one_by_one(rows, (2, 4), 3)
    assert found is not None and found.shape == (6, 2, 4)
    np.testing.assert_array_equal(npz.together(found, 3), rows)
