# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged and wrong models through ``midwire inspect`` and ``midwire compile``.

``python -m bench.fuzz --inspect 1000000 --compile 10000 --seed 1``
"""
