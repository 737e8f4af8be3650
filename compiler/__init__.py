# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX model to bundle. The root package has the public functions: ``inspect`` loads no emitter."""
