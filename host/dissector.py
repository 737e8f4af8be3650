# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire dissector``: what Wireshark and tshark need to show our datagrams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..hw.console import Console, JsonFlag
from ..hw.formats.files import written
from ..hw.formats.wire import UDP_PORT
from .wire.lua_dissector import OLDEST_WIRESHARK, PLUGIN_FOLDER, text


def dissector(
    output: Annotated[Path, typer.Option("--output", "-o", help="Lua file to write.")],
    as_json: JsonFlag = False,
) -> None:
    """Write a Lua plugin with which Wireshark and tshark show midwire's datagrams."""
    with written(output, "the dissector") as fresh:
        fresh.write_text(text(), "ascii")
    found = {
        "path": output,
        "udp_port": UDP_PORT,
        "oldest_wireshark": OLDEST_WIRESHARK,
        "plugin_folder": Path(PLUGIN_FOLDER).expanduser(),
    }
    Console(as_json).result(found, _how_to_use(output))


def _how_to_use(file: Path) -> str:
    return (
        f"dissector in {file}, for Wireshark and tshark {OLDEST_WIRESHARK} and newer\n"
        f"for once:  tshark -X lua_script:{file} -r FILE.pcap\n"
        f"for good:  copy it to {PLUGIN_FOLDER} (on Windows %APPDATA%\\Wireshark\\plugins); Help, "
        "About, Folders in Wireshark names the folder as Personal Lua Plugins"
    )
