# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What other tools read of a bundle: a list of files, a FuseSoC core, waivers for Verilator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...hw.shells.registry import FOLDER, Shell

FILE_LIST = "files.f"
WAIVERS = "lint.vlt"

_WAIVED = {
    "DECLFILENAME": "A file has all modules of the slice, or of the NIC.",
    "UNUSEDSIGNAL": "Sums are as wide as they can become, also where only their low bits are read; "
    "fields of a payload have names, read or not.",
    "PROCASSINIT": "Registers have the value after reset from power-up on, for FPGAs.",
    "WIDTHEXPAND": "Operands of less bits are extended by their own sign, as Verilog does.",
    "WIDTHTRUNC": "A part of a shifted vector is meant; `!` of a vector asks whether all is 0.",
    "CASEINCOMPLETE": "What a case assigns has a value before it.",
    "CMPCONST": "Counters of general width are compared with limits that a size may never reach.",
}
"""Rules of ``verilator --lint-only -Wall`` that generated Verilog does not keep, and why that is
meant. No other rule is waived, and none for the memories.
"""


_WAIVED_OF_ADAPTER = {
    "UNUSEDSIGNAL": "A shell has more wires than an adapter uses.",
    "UNUSEDPARAM": "And more parameters.",
}


def verilog_files(prefix: str) -> list[str]:
    """All Verilog of a bundle, by paths inside it: that of the NIC, then that of the slice."""
    return [f"rtl/{prefix}_{part}.v" for part in ("nic", "slice", "rom", "ram")]


def lint_waivers(prefix: str) -> str:
    """A control file of Verilator, to be given before the Verilog."""
    return "\n".join([*_WAIVERS_BEGIN, *_waivers(_WAIVED, verilog_files(prefix)[:2])]) + "\n"


_WAIVERS_BEGIN = (
    f"// Waivers for verilator --lint-only -Wall -F {FILE_LIST}, by rule, and why.",
    "`verilator_config",
)


def _waivers(rules: Mapping[str, str], paths: Sequence[str]) -> list[str]:
    lines = []
    for rule, why in rules.items():
        lines.append(f"// {why}")
        lines += [f'lint_off -rule {rule} -file "*{path}"' for path in paths]
    return lines


def shell_lists(shell: Shell, prefix: str) -> dict[str, str]:
    """The same two lists for the adapter to a shell, with all Verilog behind it, by path."""
    adapter, port, windows = shell.sources(prefix)
    generated = [port, *verilog_files(prefix)[:2]]
    waivers = _waivers(_WAIVED, generated) + _waivers(_WAIVED_OF_ADAPTER, [adapter])
    files = [f"// For -F. Top module {shell.top(prefix)}."]
    for path in (adapter, port, windows, *verilog_files(prefix)):
        here = path.removeprefix(f"{FOLDER}/")
        files.append(here if here != path else f"../{path}")
    return {
        f"{FOLDER}/{WAIVERS}": "\n".join([*_WAIVERS_BEGIN, *waivers]) + "\n",
        f"{FOLDER}/{FILE_LIST}": "\n".join(files) + "\n",
    }


def file_list(prefix: str) -> str:
    """Verilog files for ``-F``, which takes paths from where the list is."""
    note = f"// For -F. Top module {prefix}_slice, or {prefix}_nic for the whole pipeline."
    return "\n".join([note, *verilog_files(prefix)]) + "\n"


def core_file(prefix: str, images: Sequence[str]) -> str:
    """A FuseSoC core (CAPI2): targets for the slice, the NIC and Verilator's lint.

    Images are copied to where the tool runs, because ``$readmemh`` has them by bare name.
    """
    nic, *slice_ = verilog_files(prefix)
    lines = [
        "CAPI=2:",
        f"name: midwire:bundle:{prefix}:0",
        f"description: Neural network slice {prefix}_slice, and {prefix}_nic around it",
        "filesets:",
        "  slice:",
        "    files:",
        *(f"      - {path}: {{file_type: verilogSource}}" for path in slice_),
        *(f"      - rtl/{name}: {{file_type: user, copyto: {name}}}" for name in images),
        "  nic:",
        "    files:",
        f"      - {nic}: {{file_type: verilogSource}}",
        "  waivers:",
        "    files:",
        f"      - {WAIVERS}: {{file_type: vlt}}",
        "targets:",
        "  default:",
        "    filesets: [slice]",
        f"    toplevel: {prefix}_slice",
        "  nic:",
        "    filesets: [slice, nic]",
        f"    toplevel: {prefix}_nic",
        "  lint:",
        "    filesets: [waivers, slice, nic]",
        "    default_tool: verilator",
        "    tools:",
        "      verilator:",
        "        mode: lint-only",
        "        verilator_options: [-Wall]",
        f"    toplevel: {prefix}_nic",
    ]
    return "\n".join(lines) + "\n"
