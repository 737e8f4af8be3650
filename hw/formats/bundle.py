# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle: the folder that the compiler writes and everything else reads.

A bundle holds Verilog, memory images, the slice, edge and cloud parts as ONNX, the integer program
of the slice (for the numpy reference), golden vectors, and ``manifest.json``, which names every
other file with its SHA-256. The model hash (first 8 bytes of the SHA-256 of the manifest) stands in
every frame.

Standard library and numpy only: running nodes import this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BundleError
from ..numeric import QType
from .csr import WIDTH
from .npz import read_npz
from .tensor import AnyArray, Layout, TensorSpec

FORMAT = 3
"""Version of the bundle format; a reader refuses any other."""

MANIFEST = "manifest.json"

PREFIX = "midwire"
"""What the names of a bundle's modules and memory images begin with, if nobody asks for another."""

MAX_PREFIX = 40
"""Letters of a prefix: with what follows, names stay below the 128 that tools agree on."""

MEASURED_INFERENCES = 4
"""Cycles per inference are those between the ends of the last two of so many back-to-back
inferences.
"""

MAX_TENSORS = 255
"""Inputs, and outputs, of a slice: the header counts them in 8 bits."""

MAX_CLOCK_MHZ = (1 << WIDTH["clock_mhz"]) - 1
"""The NIC's register has no more bits."""

WEIGHT_BANK = "weight_bank"
"""The slice's port that says which bank of its writable memories is read, where there are any."""

_ALWAYS = ("edge.onnx", "slice.onnx", "cloud.onnx")
"""What running nodes open; a bundle without them is none."""

_MAX_MANIFEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Described:
    """A kernel or finisher, as :mod:`midwire.hw.kernels.program` writes and reads it.

    ``parameters`` are JSON values; ``arrays`` maps a parameter's name to its key in
    ``program.npz``.

    Raises TypeError if these are something else: they may come from a file.
    """

    kind: str
    parameters: Mapping[str, Any]
    arrays: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, kind in (("kind", str), ("parameters", Mapping), ("arrays", Mapping)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must not be {getattr(self, name)!r}")


@dataclass(frozen=True)
class Step:
    """One integer operation of the slice's program: a kernel, and a finisher for each output."""

    name: str
    kernel: Described
    finishers: tuple[Described, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class WritableMemory:
    """A memory of the slice that its side port ``w{k}_axis`` writes; ``k`` is its place in
    :attr:`Manifest.memories`.

    A beat is a word, in as many whole bytes as it takes, little-endian; the words of an image file
    in turn, ``tlast`` on the last (:func:`~.images.unpack_image`). It goes to the bank that is not
    read: that is the other one than the slice's input ``weight_bank`` says. The images of another
    bundle's layer may be loaded, all of its memories, if ``hardware`` is the same.

    Attributes
    ----------
    node : the layer
    image : file in ``rtl/`` that bank 0 holds from power-up
    width, words : bits of a word, and their number
    hardware : SHA-256 of the description of the layer's hardware
    """

    node: str
    image: str
    width: int
    words: int
    hardware: str

    @property
    def word_bytes(self) -> int:
        """Bytes of a beat."""
        return -(-self.width // 8)

    def __post_init__(self) -> None:
        for name in ("node", "image", "hardware"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} must not be {getattr(self, name)!r}")
        for name in ("width", "words"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` holds. Cycles are those that the compiler predicts.

    An inference takes one tensor of every input and gives one of every output. Its latency is from
    the first beat taken at any input to the last beat of the last output, both counted; cycles per
    inference are those between the last beats of the last outputs. ``batch`` is how many inferences
    one run of the model is, as its author wrote it. ``sqnr`` says in words what ``sqnr_db`` is, and
    what None of it means (:attr:`midwire.hw.sqnr.Sqnr.text`, or that nothing was measured).
    ``prefix`` begins the names of all modules and memory images, and of the files in ``rtl/``.
    ``layers`` and ``fifos`` are for reports, and so is ``device``: how much of each resource a
    typical part of the target's family has, or the part or budget that was named, and its ``name``.
    So is ``pareto``: what the layers would take at other intervals, the shortest first.
    """

    name: str
    model_sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[Step, ...]
    slice: Mapping[str, Any]
    target: str
    clock_mhz: float
    cycles_per_inference: int
    latency_cycles: int
    resources: Mapping[str, int]
    sqnr_db: float | None
    sqnr: str
    layers: tuple[Mapping[str, Any], ...] = ()
    fifos: tuple[Mapping[str, Any], ...] = ()
    device: Mapping[str, Any] = field(default_factory=dict)
    pareto: tuple[Mapping[str, Any], ...] = ()
    images: tuple[str, ...] = ()
    memories: tuple[WritableMemory, ...] = ()
    batch: int = 1
    prefix: str = PREFIX
    format: int = FORMAT
    tool: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Most of it comes from a file; tensors check themselves.
        for names, kind in _KINDS.items():
            for name in names.split():
                value = getattr(self, name)
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise TypeError(f"{name} must not be {value!r}")
        if not usable_prefix(self.prefix):
            raise ValueError(f"prefix must be a short Verilog identifier, not {self.prefix!r}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")
        if not 0 < self.clock_mhz <= MAX_CLOCK_MHZ:
            raise ValueError(
                f"clock_mhz must be above 0 and at most {MAX_CLOCK_MHZ}, not {self.clock_mhz}"
            )
        for side, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            found = [tensor.name for tensor in tensors]
            if not 1 <= len(found) <= MAX_TENSORS or len(set(found)) < len(found):
                raise ValueError(
                    f"{side} must be 1 to {MAX_TENSORS} tensors of different names, not {found}"
                )
        hexadecimal = re.compile("[0-9a-f]{64}")
        digests: Mapping[str, Any] = self.files
        for name, digest in digests.items():
            if not isinstance(digest, str) or not hexadecimal.fullmatch(digest):
                raise ValueError(f"the SHA-256 of {name!r} must be 64 digits, not {digest!r}")


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "name model_sha256 prefix sqnr target": str,
    "batch cycles_per_inference latency_cycles": int,
    "clock_mhz": (int, float),
    "sqnr_db": (int, float, type(None)),
    "slice resources device tool files": Mapping,
}


def usable_prefix(text: str) -> bool:
    """Whether modules may be named so: a letter, then up to 39 letters, digits and underscores."""
    return re.fullmatch(rf"[A-Za-z][A-Za-z0-9_]{{0,{MAX_PREFIX - 1}}}", text) is not None


def spec_from(data: Mapping[str, Any]) -> TensorSpec:
    """A tensor as a manifest holds it; KeyError, TypeError or ValueError if it is none."""
    return TensorSpec(
        name=data["name"],
        shape=tuple(data["shape"]),
        dtype=data["dtype"],
        qtype=QType(**data["qtype"]),
        layout=Layout(tuple(data["layout"]["dims"]), tuple(data["layout"]["perm"])),
        lanes=data["lanes"],
    )


def _manifest_from(data: Mapping[str, Any]) -> Manifest:
    known = {f.name for f in dataclasses.fields(Manifest)}
    plain = {key: value for key, value in data.items() if key in known}
    plain["inputs"] = tuple(spec_from(t) for t in data["inputs"])
    plain["outputs"] = tuple(spec_from(t) for t in data["outputs"])
    plain["steps"] = tuple(
        Step(
            s["name"],
            Described(**s["kernel"]),
            tuple(Described(**part) for part in s["finishers"]),
            tuple(s["inputs"]),
            tuple(s["outputs"]),
        )
        for s in data["steps"]
    )
    plain["layers"] = tuple(data["layers"])
    plain["fifos"] = tuple(data.get("fifos", ()))
    plain["pareto"] = tuple(data.get("pareto", ()))
    plain["images"] = tuple(data["images"])
    plain["memories"] = tuple(WritableMemory(**m) for m in data["memories"])
    return Manifest(**plain)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _difference(root: Path, name: str, expected: str) -> str:
    """How a file differs from what the manifest says of it; empty if it does not."""
    try:
        # Absolute names, "..", and links all end in what they stand for.
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            return f"{name} (outside the bundle)"
        if not path.is_file():
            return f"{name} (missing)"
        found = file_sha256(path)
    except (OSError, ValueError) as error:
        return f"{name!r} ({error})"
    return "" if found == expected else f"{name} (SHA-256 {found[:12]}..., not {expected[:12]}...)"


class Bundle:
    """A bundle on disk whose files have been checked against the manifest."""

    def __init__(self, root: Path, manifest: Manifest, manifest_sha256: str) -> None:
        self.root = root
        self.manifest = manifest
        self.sha256 = manifest_sha256

    def __repr__(self) -> str:
        return f"Bundle({str(self.root)!r}, {self.manifest.name!r}, {self.sha256[:16]})"

    @property
    def model_hash(self) -> bytes:
        """First 8 bytes of the manifest's SHA-256: names the model in every frame."""
        return bytes.fromhex(self.sha256)[:8]

    def path(self, relative: str) -> Path:
        """A file that the manifest names."""
        if relative != MANIFEST and relative not in self.manifest.files:
            raise BundleError(
                "no such file in the manifest",
                where=str(self.root),
                expected=f"one of {', '.join(sorted(self.manifest.files))}",
                found=repr(relative),
                remedy="Compile the bundle again with this version of midwire",
            )
        return self.root / relative

    @property
    def hardware(self) -> int:
        """32 bits that name what the slice is built from, never 0: its Verilog, the memories that
        nothing writes, and how tensors lie in their beats. Bundles that agree may be loaded with
        each other's weights.
        """
        manifest = self.manifest
        writable = {memory.image for memory in manifest.memories}
        fixed = sorted(set(manifest.images) - writable)
        names = [f"rtl/{self.slice_top}.v", *(f"rtl/{name}" for name in fixed)]
        found: list[Any] = [[name, manifest.files.get(name)] for name in names]
        for tensor in (*manifest.inputs, *manifest.outputs):
            layout = dataclasses.asdict(tensor.layout)
            found.append([tensor.qtype.bits, tensor.qtype.signed, tensor.lanes, layout])
        text = json.dumps(found, sort_keys=True).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") or 1

    @property
    def slice_top(self) -> str:
        """The slice's top module: ``midwire_slice``, if nobody asked for another prefix."""
        return f"{self.manifest.prefix}_slice"

    @property
    def nic_top(self) -> str:
        """The top module of the whole pipeline: ``midwire_nic``, if not for another prefix."""
        return f"{self.manifest.prefix}_nic"

    @property
    def slice_verilog(self) -> tuple[Path, ...]:
        """Verilog of the slice core."""
        parts = (self.slice_top, *(f"{self.manifest.prefix}_{name}" for name in ("rom", "ram")))
        return tuple(self.path(f"rtl/{name}.v") for name in parts)

    @property
    def nic_verilog(self) -> tuple[Path, ...]:
        """Verilog of the whole pipeline."""
        return (self.path(f"rtl/{self.nic_top}.v"), *self.slice_verilog)

    @property
    def images_dir(self) -> Path:
        """Folder of the memory images."""
        return self.root / "rtl"

    def arrays(self) -> dict[str, AnyArray]:
        """Parameters of the integer program."""
        remedy = "Compile the bundle again"
        return read_npz(self.path("program.npz"), error=BundleError, remedy=remedy)

    @classmethod
    def load(cls, root: str | os.PathLike[str]) -> Bundle:
        """Read a bundle and check every file's hash.

        Raises
        ------
        BundleError
            If a file that the manifest names is missing, altered or outside the folder, or the
            manifest itself is damaged or of another version. Other files are not looked at.
        """
        folder = Path(root)
        path = folder / MANIFEST
        if not path.is_file():
            raise BundleError(
                "not a bundle",
                where=str(folder),
                expected=f"a folder with {MANIFEST}",
                found="no such file" if folder.is_dir() else "no such folder",
                remedy="Make one with: midwire compile MODEL -o BUNDLE",
                usage=not folder.is_dir(),
            )
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise BundleError(
                "manifest too large",
                where=str(path),
                expected=f"at most {_MAX_MANIFEST_BYTES} bytes",
                found=f"{path.stat().st_size} bytes",
                remedy="Compile the bundle again",
            )
        raw = path.read_bytes()
        try:
            data = json.loads(raw)
            version = data["format"]
            if version != FORMAT:
                raise BundleError(
                    "bundle format of another version",
                    where=str(path),
                    expected=f"format {FORMAT}",
                    found=f"format {version!r}",
                    remedy="Compile the bundle again with this version of midwire",
                )
            manifest = _manifest_from(data)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise BundleError(
                "the manifest cannot be read",
                where=str(path),
                expected=f"a midwire manifest, format {FORMAT}",
                found=f"{type(error).__name__}: {error}",
                remedy="Compile the bundle again",
            ) from error
        bundle = cls(folder, manifest, hashlib.sha256(raw).hexdigest())
        bundle.check()
        return bundle

    def check(self) -> None:
        """Compare every file with its hash in the manifest; report all differences at once."""
        found = (
            _difference(self.root, name, digest) for name, digest in self.manifest.files.items()
        )
        wrong = sorted(difference for difference in found if difference)
        missing = {*_ALWAYS, *(f"rtl/{name}" for name in self.manifest.images)}
        wrong += [f"{name} (not named)" for name in sorted(missing - set(self.manifest.files))]
        if wrong:
            raise BundleError(
                f"{len(wrong)} file(s) differ from the manifest",
                where=str(self.root),
                expected="the files that the compiler wrote",
                found=", ".join(wrong[:8]) + (", ..." if len(wrong) > 8 else ""),
                remedy="Compile the bundle again, or copy it again from where it came from",
            )


def check_target(root: str | os.PathLike[str]) -> None:
    """Refuse a place where no bundle may be written: what takes long to make is worth asking first.

    Raises
    ------
    BundleError
        If there is something else than a bundle (nothing else is ever overwritten), or the path is
        one such as ``.``, which cannot be renamed.
    """
    target = Path(root)
    if target.name in ("", ".."):
        raise BundleError(
            "a bundle takes the place of a folder by its name",
            where=str(target),
            expected="a path that ends in the name of a folder",
            found="a path that ends in none",
            remedy="Choose another output folder",
            usage=True,
        )
    # Asked again, because another writer may just be exchanging the folder.
    found = [_foreign(target) for _ in range(8)]
    if all(found):
        raise BundleError(
            "will not overwrite what is not a bundle",
            where=str(target),
            expected="no such path, an empty folder or an old bundle",
            found=found[0],
            remedy="Choose another output folder",
            usage=True,
        )


def write_bundle(
    root: str | os.PathLike[str], manifest: Manifest, files: Mapping[str, bytes]
) -> Bundle:
    """Write a bundle so that the folder is either the whole new bundle or what was there before.

    Everything goes to a folder beside the target, which then takes its place by renaming.

    Raises
    ------
    BundleError
        As :func:`check_target`, or if it cannot be written.
    """
    target = Path(root)
    check_target(target)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    stamped = dataclasses.replace(manifest, files=dict(sorted(hashes.items())))
    text = json.dumps(dataclasses.asdict(stamped), indent=1, sort_keys=True) + "\n"
    contents = {**files, MANIFEST: text.encode()}
    staging: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        for name, content in contents.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        staging.chmod(0o755)
        # Checked here, because at the target another writer may be at work.
        written = Bundle.load(staging)
        _replace(staging, target)
    except OSError as error:
        raise BundleError(
            "the bundle cannot be written",
            where=str(target),
            expected="a folder that can be made and written, on a disk with room",
            found=error.strerror or str(error),
            remedy="Choose another output folder",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return Bundle(target, written.manifest, written.sha256)


def _foreign(target: Path) -> str:
    """What there is at a path that is not a bundle's; empty if nothing is in the way."""
    try:
        names = [path.name for path in target.iterdir()]
    except NotADirectoryError:
        return "a file"
    except OSError:
        return ""  # nothing there, or nothing can be: writing will say
    return "other files" if names and MANIFEST not in names else ""


def _replace(staging: Path, target: Path) -> None:
    """Put ``staging`` in the place of ``target``; two writers may race, the last one stays."""
    for _ in range(64):
        try:
            staging.rename(target)
            return
        except OSError:
            _swap(staging, target)
            if not staging.exists():
                return
    raise BundleError(
        "another process keeps writing the same bundle",
        where=str(target),
        remedy="Choose another output folder",
    )


def _swap(staging: Path, target: Path) -> None:
    """Move the old bundle aside and the new one in; whatever happens, one of them stays."""
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    old = aside / "bundle"
    try:
        target.rename(old)
        staging.rename(target)
    except OSError:
        pass  # another writer moved the old one, or was faster with a new one
    finally:
        if old.exists() and not target.exists():
            with contextlib.suppress(OSError):  # as above
                old.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
