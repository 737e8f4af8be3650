# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What implementations behind a sliding window share: convolutions and pools."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..timing.components import Edge, Schedule, outlet_depth, window_lines
from .base import Finished
from .geometry import Geometry


class WindowImplementation(Finished):
    """Passes over a window, each of which makes one output beat.

    Attributes
    ----------
    geometry : the window and the image's size
    lines : of the image in memory; None for :func:`~midwire.hw.timing.components.window_lines`
    depth : of the output FIFO; None for just enough for full throughput
    """

    geometry: Geometry
    lines: int | None
    depth: int | None

    @property
    @abstractmethod
    def folds(self) -> int:
        """Beats of an input pixel."""

    @property
    @abstractmethod
    def passes(self) -> int:
        """Beats of an output pixel."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Cycles of a pass."""

    @property
    @abstractmethod
    def pipeline(self) -> int:
        """Cycles from the last step of a pass to the written result."""

    @property
    def cycles(self) -> int:
        """Output pixels x passes x steps, or the input's beats if those are more."""
        return max(self.inputs[0].beats, self.geometry.out_pixels * self.passes * self.steps)

    @property
    def latency(self) -> int:
        """Steps of a pass, the pipeline, and the output FIFO."""
        return self.steps + self.pipeline + 1

    @property
    def memory_lines(self) -> int:
        """Image lines in memory."""
        return window_lines(self.geometry) if self.lines is None else self.lines

    @property
    def outlet_depth(self) -> int:
        """Depth of the output FIFO."""
        return outlet_depth(self.steps, self.pipeline) if self.depth is None else self.depth

    def timing(
        self, schedule: Schedule, name: str, inputs: Sequence[Edge], outputs: Sequence[Edge]
    ) -> None:
        """A windowed component (rules T3, T4)."""
        schedule.window(
            name,
            inputs[0],
            outputs[0],
            geometry=self.geometry,
            folds=self.folds,
            passes=self.passes,
            steps=self.steps,
            latency=self.pipeline,
            lines=self.memory_lines,
            depth=self.outlet_depth,
        )
