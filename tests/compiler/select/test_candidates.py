# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices to choose from: rules N1 to N3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.compiler.select.inspection import inspect_model

ModelFile = Callable[..., Path]

# 64 -> 8 -> 64 channels; then what is not supported, and a smaller product behind it.
NARROW = """
g (float[N, 64] x) => (float[N, 4] y)
<float[64, 8] w = {W}, float[8, 64] v = {W}, float[64, 64] u = {U}, float[64, 4] t = {T}>
{ a = MatMul(x, w)
  b = MatMul(a, v)
  c = MatMul(b, u)
  d = Hardmax(c)
  e = Hardmax(d)
  y = MatMul(e, t) }
""".replace("{W}", "{" + ", ".join(["1"] * 512) + "}")
NARROW = NARROW.replace("{U}", "{" + ", ".join(["1"] * 4096) + "}")
NARROW = NARROW.replace("{T}", "{" + ", ".join(["1"] * 256) + "}")


def ends(found: dict[str, Any]) -> tuple[str, str]:
    return ",".join(found["inputs"]), ",".join(found["outputs"])


def test_less_work_for_fewer_bytes_and_what_lies_elsewhere(model_file: ModelFile) -> None:
    """All of 512 + 512 + 4096 products lie between x and c; 90 % of them between a and c."""
    report = inspect_model(model_file(NARROW))
    assert [(ends(found), found["why"]) for found in report["candidates"]] == [
        (("x", "c"), "most work"),
        (("a", "c"), "fewest bytes for 90% of that work"),
        (("e", "y"), "most work elsewhere"),
    ]
    assert report["slice"]["outputs"] == ["c"]
    small = report["candidates"][1]
    assert (small["bytes_in"], small["bytes_out"]) == (8, 64)
    assert (small["edge_macs"], small["macs"], small["cloud_macs"]) == (512, 4608, 256)
    for found in report["candidates"]:
        assert found["edge_macs"] + found["macs"] + found["cloud_macs"] == report["macs"]
        shares = (found[f"{key}_share"] for key in ("edge_macs", "macs", "cloud_macs"))
        assert sum(shares) == pytest.approx(1)


def test_the_numbers_name_the_same_slice(model_file: ModelFile) -> None:
    path = model_file(NARROW)
    for found in inspect_model(path)["candidates"]:
        (same,) = inspect_model(path, found["from"], found["to"])["candidates"]
        assert ends(same) == ends(found)
        assert same["why"] == "between the cuts that were named"


def test_candidates_keep_the_end_that_was_named(model_file: ModelFile) -> None:
    path = model_file(NARROW)
    assert {ends(c)[0] for c in inspect_model(path, "x")["candidates"]} == {"x"}
    assert {ends(c)[1] for c in inspect_model(path, to="b")["candidates"]} == {"b"}
    assert [ends(c) for c in inspect_model(path, "e")["candidates"]] == [("e", "y")]


def test_what_cannot_be_built_is_not_offered(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model_file(NARROW)
    refusal: Callable[..., object] = lambda *_: (None, "it does not fit")  # noqa: E731
    monkeypatch.setattr("midwire.compiler.select.inspection.settled", refusal)
    assert [ends(found) for found in inspect_model(path)["candidates"]] == [("x", "c")]


def test_no_slice_has_no_candidates(model_file: ModelFile) -> None:
    path = model_file("g (float[N, 4] x) => (float[N, 4] y) { y = Hardmax(x) }")
    assert inspect_model(path)["candidates"] == []
