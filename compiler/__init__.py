# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX model to bundle."""

from __future__ import annotations

from .pipeline import Compiled, Options, compile_model

__all__ = ["Compiled", "Options", "compile_model"]
