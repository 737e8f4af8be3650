# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One NIC pipeline around the slices of several bundles.

Each bundle was compiled for itself, perhaps with the same prefix as another one, or it is there
twice. So all that is a bundle's gets a prefix of its own, ``core0_`` and on in front of the
bundle's, and so does the plusarg that says where its memory images are; names of files stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from .elaborate import prefixed, renamed, verilog_of
from .formats.bundle import PREFIX, Bundle
from .nic.shape import NicShape, SideWords, SliceShape, WireTensor, slice_modules


@dataclass(frozen=True)
class SideBySide:
    """The Verilog of a pipeline, and how its simulation finds memory images.

    Attributes
    ----------
    top : its top module
    verilog : texts by file name
    plusargs : arguments of the simulation
    """

    top: str
    verilog: dict[str, str]
    plusargs: tuple[str, ...]


def slice_shape(bundle: Bundle) -> SliceShape:
    """What a shell around a bundle's slice depends on."""
    manifest = bundle.manifest
    inputs, outputs = (
        tuple(WireTensor(spec.beat_bytes, spec.wire_bytes) for spec in specs)
        for specs in (manifest.inputs, manifest.outputs)
    )
    sides = tuple(SideWords(memory.word_bytes, memory.words) for memory in manifest.memories)
    return SliceShape(inputs, outputs, sides)


def side_by_side(bundles: Sequence[Bundle]) -> SideBySide:
    """The pipeline of at least two bundles, in the order of cores.

    Raises
    ------
    ToolError
        If the shell cannot be elaborated.
    """
    top = f"{PREFIX}_nic"
    (shell,) = verilog_of([NicShape(tuple(map(slice_shape, bundles)))])
    shell = renamed(shell, top)
    ram = files("midwire.hw").joinpath("verilog/mw_ram.v").read_text("utf-8")
    texts = {f"{PREFIX}_ram.v": prefixed(ram, PREFIX)}
    plusargs = []
    for core, (bundle, module) in enumerate(zip(bundles, slice_modules(len(bundles)), strict=True)):
        prefix = bundle.manifest.prefix
        shell = re.sub(rf"\b{module}\b", own_name(bundle.slice_top, core), shell)
        for path in bundle.slice_verilog:
            texts[own_name(path.name, core)] = made_own(path.read_text("utf-8"), prefix, core)
        plusargs.append(f"+{own_name(prefix, core)}_images={bundle.images_dir.resolve()}")
    texts[f"{top}.v"] = prefixed(shell, PREFIX)
    return SideBySide(top, texts, tuple(plusargs))


def own_name(name: str, core: int) -> str:
    """A bundle's name of a module or file, as that of one core."""
    return f"core{core}_{name}"


def made_own(verilog: str, prefix: str, core: int) -> str:
    """Verilog of a bundle with the names of one core, of modules and of the plusarg of images; what
    else is in quotes are names of files, which stay."""
    own = own_name(prefix, core)
    verilog = verilog.replace(f'"{prefix}_images=', f'"{own}_images=')
    return re.sub(rf'(?<![\w"]){prefix}_(?=\w)', f"{own}_", verilog)
