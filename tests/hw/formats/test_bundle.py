# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle comes back as it was written, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midwire.hw.errors import BundleError
from midwire.hw.formats.bundle import MANIFEST, Bundle, Manifest, WritableMemory, write_bundle
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType

SPEC = TensorSpec("x", (1, 2, 3), "float32", QType(8, True, 0.5, 3), Layout.raster((1, 2, 3)), 2)
FILES = {
    "edge.onnx": b"edge",
    "slice.onnx": b"slice",
    "cloud.onnx": b"cloud",
    "rtl/w.hex": b"00\n",
    "program.npz": b"no archive",
}


MEMORY = WritableMemory("conv", "w.hex", 8, 1, "0" * 64)


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "name": "known",
        "model_sha256": "0" * 64,
        "inputs": (SPEC,),
        "outputs": (SPEC,),
        "steps": (),
        "slice": {},
        "target": "none",
        "clock_mhz": 250.0,
        "cycles_per_inference": 4,
        "latency_cycles": 8,
        "resources": {},
        "sqnr_db": None,
        "sqnr": "not measured",
        "images": ("w.hex",),
        "memories": (MEMORY,),
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound bundle."""
    return write_bundle(tmp_path / "known.mw", manifest(), FILES).root


def message(folder: Path) -> str:
    """What the reader says, the folder called FOLDER."""
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    return str(caught.value).replace(str(folder), "FOLDER")


def step(**changes: dict[str, Any]) -> dict[str, Any]:
    """A step as the manifest has it, of a kernel and no finishers."""
    kernel = {"kind": "pool", "parameters": {}, "arrays": {}} | changes["kernel"]
    return {"name": "one", "kernel": kernel, "finishers": [], "inputs": ["x"], "outputs": ["y"]}


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, as somebody may who can compute hashes."""
    path = folder / MANIFEST
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_comes_back_as_it_was_written(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.manifest.inputs == (SPEC,)
    assert bundle.manifest.memories == (MEMORY,)
    assert bundle.manifest.files == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    assert bundle.model_hash == hashlib.sha256((folder / MANIFEST).read_bytes()).digest()[:8]
    assert bundle.path("rtl/w.hex").read_bytes() == FILES["rtl/w.hex"]


def test_several_tensors_come_back_in_their_order(tmp_path: Path) -> None:
    """Of different sizes, types and beats."""
    wide = QType(12, False, 0.25)
    inputs = (SPEC, TensorSpec("u", (1, 5), "float32", wide, Layout.raster((1, 5)), 1))
    outputs = tuple(replace(spec, name=f"{spec.name}_out") for spec in reversed(inputs))
    written = write_bundle(tmp_path / "b", manifest(inputs=inputs, outputs=outputs, batch=4), FILES)
    read = Bundle.load(written.root).manifest
    assert (read.inputs, read.outputs, read.batch) == (inputs, outputs, 4)
    assert [spec.wire_bytes for spec in read.inputs] == [6, 10]
    assert [spec.beat_bytes for spec in read.outputs] == [2, 2]


def test_same_contents_make_the_same_hash(folder: Path, tmp_path: Path) -> None:
    again = write_bundle(tmp_path / "again.mw", manifest(), dict(reversed(FILES.items())))
    assert again.sha256 == Bundle.load(folder).sha256


def test_an_altered_and_a_missing_file_are_named_together(folder: Path) -> None:
    (folder / "slice.onnx").write_bytes(b"other")
    (folder / "rtl" / "w.hex").unlink()
    want, got = (hashlib.sha256(text).hexdigest()[:12] for text in (b"slice", b"other"))
    assert message(folder) == (
        "FOLDER: 2 file(s) differ from the manifest; expected the files that the compiler wrote; "
        f"found rtl/w.hex (missing), slice.onnx (SHA-256 {got}..., not {want}...). "
        "Compile the bundle again, or copy it again from where it came from."
    )


@pytest.mark.parametrize("name", ["../outside", "rtl/../../outside", "/etc/hostname"])
def test_a_name_that_leads_outside_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes(b"secret")
    digest = hashlib.sha256(b"secret").hexdigest()
    edit(folder, lambda data: data["files"].update({name: digest}))
    assert f"found {name} (outside the bundle)" in message(folder)


def test_a_link_that_leads_outside_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes(FILES["slice.onnx"])
    (folder / "slice.onnx").unlink()
    (folder / "slice.onnx").symlink_to(outside)
    assert "found slice.onnx (outside the bundle)" in message(folder)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_a_name_that_is_no_file_name_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda data: data["files"].update({name: "0" * 64}))
    assert "1 file(s) differ from the manifest" in message(folder)


def test_what_running_nodes_open_must_be_named(folder: Path) -> None:
    edit(folder, lambda data: (data["files"].pop("cloud.onnx"), data["files"].pop("rtl/w.hex")))
    assert "found cloud.onnx (not named), rtl/w.hex (not named)" in message(folder)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda d: d.pop("inputs"), "KeyError: 'inputs'"),
        (lambda d: d.update(files=[]), "TypeError: files must not be []"),
        (lambda d: d.update(latency_cycles="8"), "TypeError: latency_cycles must not be '8'"),
        (lambda d: d["files"].update(x=1), "ValueError: the SHA-256 of 'x' must be 64 digits"),
        (lambda d: d.update(batch=0), "ValueError: batch must be at least 1, not 0"),
        (lambda d: d.update(outputs=[]), "ValueError: outputs must be 1 to 255 tensors of diff"),
        (lambda d: d["inputs"].extend(d["inputs"]), "ValueError: inputs must be 1 to 255 tensors"),
        (lambda d: d["inputs"][0].update(lanes=4), "ValueError: lanes must divide 6 elements"),
        (lambda d: d["inputs"][0].update(shape=[1, 2, -3]), "ValueError: shape must be integers"),
        (lambda d: d["inputs"][0].update(shape=[7]), "ValueError: shape (7,) has other elements"),
        (lambda d: d["inputs"][0].update(dtype="text"), "TypeError: data type 'text' not"),
        (lambda d: d["inputs"][0].update(dtype=None), "TypeError: dtype must not be None"),
        (lambda d: d["inputs"][0].update(dtype="object"), "ValueError: dtype must be a type of re"),
        (lambda d: d["inputs"][0].update(name=5), "TypeError: name must not be 5"),
        (lambda d: d["inputs"][0]["qtype"].update(bits=33), "ValueError: bits must be 1 to 32"),
        (lambda d: d["inputs"][0]["layout"].update(perm=[0]), "ValueError: perm must permute 3"),
        (lambda d: d["inputs"][0]["layout"].update(perm=[0, 1.0, 2]), "ValueError: perm must perm"),
        (lambda d: d["inputs"][0]["qtype"].update(zero_point=0.5), "TypeError: zero_point must"),
        (lambda d: d["inputs"][0]["qtype"].update(scale="1"), "TypeError: scale must not be '1'"),
        (lambda d: d["steps"].append(step(kernel={"arrays": []})), "TypeError: arrays must not be"),
        (lambda d: d["memories"][0].update(node=3), "TypeError: node must not be 3"),
        (lambda d: d["memories"][0].update(words=0), "ValueError: words must be at least 1, not 0"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], found: str
) -> None:
    edit(folder, change)
    assert re.fullmatch(
        "FOLDER/manifest.json: the manifest cannot be read; expected a midwire manifest, format 3; "
        f"found {re.escape(found)}.*\\. Compile the bundle again\\.",
        message(folder),
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 100_000, '{"format": 3}'])
def test_a_manifest_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    assert "the manifest cannot be read; expected a midwire manifest, format 3" in message(folder)


def test_another_format_is_refused(folder: Path) -> None:
    edit(folder, lambda data: data.update(format=1))
    assert message(folder) == (
        "FOLDER/manifest.json: bundle format of another version; expected format 3; found format "
        "1. Compile the bundle again with this version of midwire."
    )


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert message(tmp_path) == (
        "FOLDER: not a bundle; expected a folder with manifest.json; found no such file. "
        "Make one with: midwire compile MODEL -o BUNDLE."
    )


def test_a_damaged_program_is_an_error_of_the_bundle(folder: Path) -> None:
    bundle = Bundle.load(folder)
    with pytest.raises(BundleError, match=r"program\.npz: the arrays cannot be read; .* Compile"):
        bundle.arrays()


def test_a_file_that_is_not_named_cannot_be_asked_for(folder: Path) -> None:
    with pytest.raises(BundleError, match="no such file in the manifest"):
        Bundle.load(folder).path("../known.mw/slice.onnx")


def test_writing_replaces_a_bundle_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    changed = write_bundle(folder, manifest(name="new"), FILES)
    assert (changed.root, changed.manifest.name) == (folder, "new")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(BundleError) as caught:
        write_bundle(other, manifest(), FILES)
    assert str(caught.value) == (
        f"{other}: will not overwrite what is not a bundle; expected no such path, an empty folder "
        "or an old bundle; found other files. Choose another output folder."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.mw", "other"]


# Whole or not at all


def write_often(folder: Path, name: str, times: int) -> None:
    """What each of two racing processes does; a file for each so that a mixture would show."""
    for turn in range(times):
        note = f"{name} {turn}"
        files = {**FILES, "rtl/w.hex": note.encode(), f"rtl/{name}.v": b""}
        written = write_bundle(folder, manifest(name=note), files)
        assert written.manifest.name == note


def test_two_writers_leave_a_whole_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "known.mw"
    # Fresh processes that run this file: forking one with threads is not safe.
    writers = [
        subprocess.Popen([sys.executable, __file__, str(folder), name, "300"])
        for name in ("left", "right")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    bundle = Bundle.load(folder)
    assert bundle.path("rtl/w.hex").read_text() == bundle.manifest.name
    assert [path.name for path in tmp_path.iterdir()] == ["known.mw"]


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, turn: int) -> None:
    """Ctrl-C at the given call of a function."""
    calls = itertools.count()
    original = getattr(owner, name)

    def stop(*args: Any, **options: Any) -> Any:
        if next(calls) == turn:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(owner, name, stop)


@pytest.mark.parametrize(
    ("owner", "name", "before", "calls"),
    [
        (Path, "write_bytes", True, len(FILES) + 1),
        (Path, "write_bytes", False, len(FILES) + 1),
        (Path, "rename", True, 3),  # in vain, the old one aside, the new one in
        (Path, "rename", False, 1),
        (shutil, "rmtree", True, 2),  # what was moved aside, and where it was written
        (shutil, "rmtree", False, 1),
    ],
)
def test_an_interrupted_writer_leaves_a_whole_bundle_or_none(
    owner: Any, name: str, before: bool, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every call of a function that changes the disk, and at none behind the last."""
    for turn in range(calls + 1):
        beside = tmp_path / str(turn)
        folder = beside / "known.mw"
        if before:
            write_bundle(folder, manifest(name="old"), FILES)
        with monkeypatch.context() as patch:
            interrupt(patch, owner, name, turn)
            with pytest.raises(KeyboardInterrupt) if turn < calls else contextlib.nullcontext():
                write_bundle(folder, manifest(name="new"), {**FILES, "edge.onnx": b"new"})
        if before:
            assert Bundle.load(folder).manifest.name in ("old", "new")
        elif folder.exists():
            assert Bundle.load(folder).manifest.name == "new"
        if owner is not shutil:
            assert [path.name for path in beside.iterdir()] in ([], ["known.mw"])
        assert write_bundle(folder, manifest(name="again"), FILES).manifest.name == "again"


@pytest.mark.parametrize("path", [".", "new/..", "/"])
def test_a_path_without_a_name_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as caught:
        write_bundle(path, manifest(), FILES)
    assert str(caught.value) == (
        f"{path}: a bundle takes the place of a folder by its name; expected a path that ends in "
        "the name of a folder; found a path that ends in none. Choose another output folder."
    )
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 300)
    with pytest.raises(BundleError) as caught:
        write_bundle(target, manifest(), FILES)
    assert str(caught.value) == (
        f"{target}: the bundle cannot be written; expected a folder that can be made and written, "
        "on a disk with room; found File name too long. Choose another output folder."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("clock", [0, -1.0, 65535.5, 1e9, float("nan"), float("inf")])
def test_a_clock_that_the_nics_register_cannot_hold_is_refused(folder: Path, clock: float) -> None:
    edit(folder, lambda data: data.update({"clock_mhz": clock}))
    assert message(folder) == (
        "FOLDER/manifest.json: the manifest cannot be read; expected a midwire manifest, format 3; "
        f"found ValueError: clock_mhz must be above 0 and at most 65535, not {clock}. "
        "Compile the bundle again."
    )


if __name__ == "__main__":
    write_often(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
