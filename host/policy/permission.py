# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the sender of a request allows, as the policy bits of its headers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...hw.formats.wire import Header


@dataclass(frozen=True)
class Permission:
    """What hops on the way may do with a tensor.

    Attributes
    ----------
    may_execute : a hop may execute the slice; else every hop hands the tensor on as declined
    must_encrypt : never in clear on a link
    region : class of regions that it may be in, 0 (any) to 15
    """

    may_execute: bool = True
    must_encrypt: bool = False
    region: int = 0

    def stamp(self, header: Header) -> Header:
        """The header with these bits."""
        return replace(
            header,
            may_execute=self.may_execute,
            must_encrypt=self.must_encrypt,
            region=self.region,
        )


EXECUTE_ANYWHERE = Permission()
"""No restriction."""

EXECUTE_IN_CLOUD = Permission(may_execute=False)
"""No hop on the way may execute."""
