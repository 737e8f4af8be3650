# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The error hierarchy that users see.

::

    MidwireError                  every error that a user can act on
      ModelError      (compiler)  the ONNX file: unreadable, unbound shapes, unsupported nodes
        OptionError   (compiler)  an option has a value that makes no sense
      CutError        (compiler)  --from / --to do not name a usable cut
        NoSliceError  (compiler)  nothing can be cut out, wherever
      FitError        (compiler)  the slice takes more than the part or the budget has
      CalibrationError(compiler)  calibration data missing, wrong shape, NaN
      LossError       (compiler)  the quantised slice loses more than was allowed
      BundleError     (hw)        a bundle is damaged, altered or of another version
      DataError       (hw)        input data of the wrong name, shape, type or range
      ToolError       (hw)        an external tool is missing or failed
        BuildError    (hw)        a compiler refused what it was given
      SimulationError (sim)       the simulated hardware broke a rule
      RuntimeFault    (host)      a live process failed

A message says what was expected, what was found, where, and what to do, in one paragraph.
"""

from __future__ import annotations

from typing import Any

LONGEST = 4000
"""Letters of a clause."""


def brief(clause: str) -> str:
    """A clause without its middle, if it is longer than :data:`LONGEST`: what was found may be a
    tensor of millions of numbers.
    """
    half = LONGEST // 2
    return clause if len(clause) <= LONGEST else f"{clause[:half]} ... {clause[-half:]}"


class MidwireError(Exception):
    """An error that a user can act on.

    Parameters
    ----------
    problem : what is wrong, a clause without the final stop
    where : the node, tensor, file or field that it is about
    expected, found : what was wanted and what there was instead
    remedy : what to do, an imperative sentence without the final stop

    Attributes
    ----------
    usage : whether the command was given wrongly, so that it ends with status 2; of all errors of a
        class, or of the one that says so
    """

    usage: bool = False

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        remedy: str = "",
        usage: bool = False,
    ) -> None:
        self.problem = problem
        self.where = where
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.usage = usage or type(self).usage
        super().__init__(self.paragraph())

    def paragraph(self) -> str:
        """The whole error as one paragraph, the middle of a very long clause left out: a name in a
        file may have any length.
        """
        where, expected, found = map(brief, (self.where, self.expected, self.found))
        parts = [f"{where}: {brief(self.problem)}" if where else brief(self.problem)]
        if expected:
            parts.append(f"expected {expected}")
        if found:
            parts.append(f"found {found}")
        text = "; ".join(parts) + "."
        return f"{text} {brief(self.remedy)}." if self.remedy else text

    def as_json(self) -> dict[str, Any]:
        """The error as a JSON object, for ``--json``."""
        return {
            "type": type(self).__name__,
            "message": self.paragraph(),
            "problem": self.problem,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "remedy": self.remedy,
        }


class BundleError(MidwireError):
    """A bundle is damaged, altered, incomplete or of another version."""


class DataError(MidwireError):
    """Input data has the wrong name, shape, type or range."""


class ToolError(MidwireError):
    """An external tool is missing or failed."""


class BuildError(ToolError):
    """Verilator, Amaranth or the C++ compiler refused a design."""
