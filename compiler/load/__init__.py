# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to a :class:`~.source.Source`: read, sorted, inlined, shapes known."""
