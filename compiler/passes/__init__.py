# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The passes, one file each; `pipeline.py` lists them in order."""
