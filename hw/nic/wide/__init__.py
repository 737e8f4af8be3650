# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes around the 64-bit pipeline where the network's stream is wider: :mod:`.around` is the
whole, and :mod:`.claim` says what has to go into the pipeline."""
