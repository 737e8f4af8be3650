# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Shells by name, and the files that an adapter to one consists of. No Amaranth here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from ..elaborate import prefixed
from . import corundum, opennic
from .notes import notes
from .port_shape import PortShape

FOLDER = "shell"
"""Where a bundle has the files of an adapter."""


@dataclass(frozen=True)
class Shell:
    """A shell that a bundle is made for.

    Attributes
    ----------
    name : as ``--target`` takes it
    family : whose shell it is
    parts : the family of parts it is on, in :data:`~midwire.hw.netlist.fabrics.FABRICS`
    clock_mhz : of the streams that the pipeline is on
    port : what each of its ports is
    title : what it is called
    top : the module of the adapter, by the bundle's prefix
    """

    name: str
    family: str
    parts: str
    clock_mhz: float
    port: PortShape
    title: str
    top: Callable[[str], str]
    _adapter: Callable[[str], str]
    _glue: Callable[[str, Sequence[str], Sequence[str]], dict[str, str]]

    def verilog(self, prefix: str) -> dict[str, str]:
        """The adapter and what it needs beside ``{prefix}_port`` and ``{prefix}_nic``."""
        text = files("midwire.hw").joinpath("verilog/mw_windows.v").read_text("utf-8")
        return {
            f"{self.top(prefix)}.v": self._adapter(prefix),
            f"{prefix}_windows.v": prefixed(text, prefix),
        }

    def sources(self, prefix: str) -> list[str]:
        """All Verilog of the adapter, by paths in a bundle."""
        names = [f"{self.top(prefix)}.v", f"{prefix}_port.v", f"{prefix}_windows.v"]
        return [f"{FOLDER}/{name}" for name in names]

    def contents(
        self, prefix: str, port: str, sources: Sequence[str], images: Sequence[str]
    ) -> dict[str, str]:
        """Every file of the adapter by its path in a bundle.

        Parameters
        ----------
        prefix : begins the names of modules
        port : Verilog of ``{prefix}_port``
        sources, images : paths of the bundle's other Verilog and of its memory images
        """
        everything = [*self.sources(prefix), *sources]
        found = {
            **self.verilog(prefix),
            f"{prefix}_port.v": port,
            **self._glue(prefix, everything, images),
            "README.md": notes(self.family, self.title, self.top(prefix), prefix, self.port),
        }
        return {f"{FOLDER}/{name}": text for name, text in found.items()}


def _corundum(rate: str, beat_bytes: int) -> Shell:
    return Shell(
        name=f"corundum-{rate}",
        family="corundum",
        parts="xcup",
        clock_mhz=250.0,
        port=corundum.shape(beat_bytes),
        title=f"Corundum's application block, {8 * beat_bytes} bits",
        top=lambda prefix: corundum.TOP,
        _adapter=lambda prefix: corundum.adapter(prefix, beat_bytes),
        _glue=corundum.glue,
    )


SHELLS = {
    shell.name: shell
    for shell in (
        _corundum("25g", 16),
        _corundum("100g", 64),
        Shell(
            name="opennic-250",
            family="opennic",
            parts="xcup",
            clock_mhz=250.0,
            port=opennic.PORT,
            title="OpenNIC's user logic box of 250 MHz, 512 bits",
            top=opennic.top,
            _adapter=opennic.adapter,
            _glue=opennic.glue,
        ),
    )
}
"""All shells."""
