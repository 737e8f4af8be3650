# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Run ONNX's own tests of operators, and write ``docs/onnx-operators.md``.

``python -m bench.operators`` in the checkout: two minutes, nothing is downloaded. A test that is in
scope and fails ends it.
"""

from __future__ import annotations

from tests.compiler.ops.onnx_backend.table import PAGE, by_operator, count, page


def main() -> None:
    """All operators, a line each."""
    counts = {}
    for operator, tests in by_operator().items():
        counts[operator] = count(tests)
        print(counts[operator].row(operator), flush=True)
    PAGE.write_text(page(counts), encoding="utf-8")


if __name__ == "__main__":
    main()
