"""The training loop, and its parts."""

from elinvar.train.averaging import MovingAverage
from elinvar.train.callbacks import Callback
from elinvar.train.history import History
from elinvar.train.recording import Recording
from elinvar.train.saving import Checkpoint
from elinvar.train.signals import Interrupted
from elinvar.train.stopping import EarlyStopping
from elinvar.train.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Interrupted",
    "MovingAverage",
    "Recording",
    "Trainer",
]
