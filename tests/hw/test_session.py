# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The one place that opens ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from midwire.hw.errors import DataError, ToolError
from midwire.hw.session import Input, inputs_of, open_session

TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N, 2] x, uint8[3] q) => (float[N, 2] y, uint8[3] p) { y = Relu(x) p = Identity(q) }
"""

STRINGS = """
<ir_version: 8, opset_import: ["" : 13]>
g (string[2] x) => (float[2] y) { y = Cast<to = 1>(x) }
"""


def test_bytes_and_a_file_give_the_same_session(tmp_path: Path) -> None:
    raw = onnx.parser.parse_model(TEXT).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(raw)
    for session in (open_session(raw), open_session(path, exact=True, threads=2)):
        assert inputs_of(session) == [
            Input("x", (1, 2), np.dtype("float32")),
            Input("q", (3,), np.dtype("uint8")),
        ]
        feeds = {"x": np.array([[-1, 2]], np.float32), "q": np.zeros(3, np.uint8)}
        assert session.run(["y"], feeds)[0].tolist() == [[0, 2]]


def test_it_keeps_no_telemetry(tmp_path: Path) -> None:
    """Neither an identifier in the user's cache nor a file of its session."""
    path, kept = tmp_path / "m.onnx", tmp_path / "kept"
    path.write_bytes(onnx.parser.parse_model(TEXT).SerializeToString())
    kept.mkdir()
    code = (
        "import pathlib, sys\n"
        "from midwire.hw.session import open_session\n"
        "open_session(pathlib.Path(sys.argv[1]))\n"
    )
    # As ONNX Runtime sees a user's machine: on build servers it keeps silent anyway.
    kind = ("PATH", "PYTHONPATH")
    environment = {name: os.environ[name] for name in kind if name in os.environ}
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME")
    environment |= dict.fromkeys(places, str(kept))
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
    assert list(kept.rglob("*")) == []


def test_elements_that_numpy_lacks() -> None:
    session = open_session(onnx.parser.parse_model(STRINGS).SerializeToString())
    with pytest.raises(ToolError) as caught:
        inputs_of(session)
    assert str(caught.value) == (
        "input 'x': no NumPy array can be this input; expected a tensor of numbers that NumPy has; "
        "found tensor(string). Cast it from such a type inside of the model."
    )
    with pytest.raises(DataError, match="no NumPy array can be this input"):
        inputs_of(session, error=DataError)


def test_what_it_does_not_take_is_our_error(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ToolError) as caught:
        open_session(path)
    assert str(caught.value).startswith(
        f"{path}: ONNX Runtime does not take the model; expected a model whose nodes ONNX Runtime "
        "knows; found "
    )
    assert str(caught.value).endswith(". Compile the bundle again, or update onnxruntime.")
    with pytest.raises(DataError, match=r"^it: .* Cut elsewhere\.$"):
        open_session(b"no model", where="it", error=DataError, remedy="Cut elsewhere")
