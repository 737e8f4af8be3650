# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle: Verilog, memory images, the parts as ONNX, the manifest."""
