"""Learning rate schedules, under the name that PyTorch gives to their module."""

from elinvar.optim.cycles import (
    CosineAnnealingWarmRestarts,
    OneCycleLR,
    SequentialLR,
    warmup_cosine,
)
from elinvar.optim.plateau import ReduceLROnPlateau
from elinvar.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    StepLR,
    WarmupLR,
)

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
    "warmup_cosine",
]
