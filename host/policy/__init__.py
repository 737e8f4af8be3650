# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What may be done with whose data, and where: permissions in headers; later, Cedar policies."""
