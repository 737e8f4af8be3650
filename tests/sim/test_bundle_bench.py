# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The bench that a bundle brings, run as its user would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from midwire import Options, compile_model


def run_pytest(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bundle_passes_its_own_bench(root: Path, tmp_path: Path) -> None:
    digits = root / "examples" / "digits"
    options = Options(calibrate=digits / "calibration.npz")
    compile_model(digits / "digits.onnx", tmp_path / "bundle", options)
    done = run_pytest(tmp_path / "bundle" / "test_bundle.py")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout

    # A copy may be extended, and its failures are readable.
    mine = tmp_path / "bundle" / "test_mine.py"
    shutil.copy(tmp_path / "bundle" / "test_bundle.py", mine)
    mine.write_text(
        mine.read_text().replace("    run_bench(", "    outputs[0][1, 0] ^= 1\n    run_bench(")
    )
    done = run_pytest(mine)
    assert done.returncode == 1
    assert "m0_axis, frame 1, byte 0 of " in done.stdout
    assert "BenchError: bench of midwire_slice, seed " in done.stdout
