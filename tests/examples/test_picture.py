# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The picture in the README is drawn from the model that is shipped."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from midwire.examples.digits import picture


def test_shipped_picture_is_the_models(root: Path) -> None:
    drawn = picture.draw(picture.read())
    assert (root / "docs" / "path.svg").read_text("utf-8") == drawn, (
        "run: python examples/digits/picture.py docs/path.svg"
    )
    ET.fromstring(drawn)


def test_parts_are_those_of_the_cut() -> None:
    parts = picture.read()
    assert parts.edge == ("Conv 3x3, 8 + ReLU",)
    assert parts.nic == ("Conv 3x3, 16 + ReLU", "MaxPool", "Conv 3x3, 16 + ReLU")
    assert parts.cloud == ("Flatten", "Gemm")
    assert (parts.in_bytes, parts.out_bytes) == (512, 256)
