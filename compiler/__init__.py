# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX model to bundle: :mod:`.pipeline` has every step on one page.

Nothing is exported here, so that ``inspect`` loads no emitter: the root package has the public
functions.
"""
