"""TensorBoard event files for those who want them: `windvane train --tensorboard`, then `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import WindvaneError


class Board(Protocol):
    """Where curves go as they are made."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Points of several curves at one step."""

    def close(self) -> None:
        """Nothing comes any more."""


class NoBoard:
    """Keeps nothing: run.json has the curves anyway."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class TensorBoard:
    """Event files in a folder, by torch.utils.tensorboard."""

    def __init__(self, folder: Path, steps: int) -> None:
        """WindvaneError when TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise WindvaneError(
                "TensorBoard event files were asked for, but tensorboard is not installed. Install it "
                "(pip install 'windvane[tensorboard]'), or leave --tensorboard out: run.json has the same curves."
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=steps + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Points of several curves at one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what is left."""
        self._writer.close()


def open_board(folder: Path, wanted: bool, steps: int = 0) -> Board:
    """Event files under `folder` when they are wanted; of a run that goes on, points after its `steps` are replaced."""
    return TensorBoard(folder, steps) if wanted else NoBoard()
