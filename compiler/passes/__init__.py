# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The compiler's passes, one a file; ``pipeline`` says in which order they run and why."""
