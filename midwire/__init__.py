# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The middle layers of a model, in the wire: ONNX to exact streaming RTL inside a NIC.

The public functions load what they need when they are first used, so that a running node that
imports ``midwire`` loads neither the compiler nor Amaranth.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.pipeline import Options, compile_model
    from .compiler.select.inspection import inspect_model
    from .hw.formats.bundle import Bundle
    from .sim.verify import verify

    __version__: str

__all__ = ["Bundle", "Options", "__version__", "compile_model", "inspect_model", "verify"]

_HOMES = {
    "Bundle": ".hw.formats.bundle",
    "Options": ".compiler.pipeline",
    "compile_model": ".compiler.pipeline",
    "inspect_model": ".compiler.select.inspection",
    "verify": ".sim.verify",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home, or ask what version is installed (PEP 562)."""
    if name == "__version__":
        from importlib import metadata  # takes longer to load than all else here

        return metadata.version("midwire")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
