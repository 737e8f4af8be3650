# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``midwire``, and ``python -m midwire``: the same, by any interpreter that has it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    """End as :func:`.host.cli.main` does on an interrupt; nothing has begun that needs undoing."""
    if "--json" not in sys.argv:
        os.write(2, b"interrupted\n")
    os._exit(130)


# Until `main` is loaded, which takes long enough for somebody to change their mind.
for _number in (signal.SIGTERM, signal.SIGINT):
    if signal.getsignal(_number) != signal.SIG_IGN:
        signal.signal(_number, _leave)

# Threads of numpy's products wait for each other in loops: a compile's are too small to gain by
# them, and the processes that elaborate beside it need the other cores.
if sys.argv[1:2] == ["compile"]:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .host.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
