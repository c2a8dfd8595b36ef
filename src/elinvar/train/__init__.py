"""The training loop, and its parts."""

from typing import Any

from elinvar.core.habits import habit
from elinvar.train.averaging import MovingAverage
from elinvar.train.callbacks import Callback
from elinvar.train.carbon_aware import CarbonAware
from elinvar.train.history import History
from elinvar.train.recording import Recording
from elinvar.train.saving import Checkpoint
from elinvar.train.signals import Interrupted
from elinvar.train.stopping import EarlyStopping
from elinvar.train.trainer import Trainer

__all__ = [
    "Callback",
    "CarbonAware",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Interrupted",
    "MovingAverage",
    "Recording",
    "Trainer",
]


def __getattr__(name: str) -> Any:
    found = habit("train", name, __all__)
    text = f"module 'elinvar.train' has no attribute {name!r}" + (f"; {found}" if found else "")
    raise AttributeError(text)
