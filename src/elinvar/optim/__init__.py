"""Optimizers and learning rate schedules. Start reading in `optimizer.py`."""

from elinvar.optim import lr_scheduler
from elinvar.optim.adafactor import Adafactor
from elinvar.optim.adam import Adam, AdamW, NAdam
from elinvar.optim.group import ParameterGroup
from elinvar.optim.lion import Lion
from elinvar.optim.muon import Muon, orthogonalize
from elinvar.optim.optimizer import Optimizer
from elinvar.optim.rmsprop import Adagrad, RMSprop
from elinvar.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "ParameterGroup",
    "RMSprop",
    "lr_scheduler",
    "orthogonalize",
]
