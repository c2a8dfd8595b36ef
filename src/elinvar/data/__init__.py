"""Data sets and batches."""

from elinvar.data.fashion import FASHION_CLASSES, digits, fashion_mnist
from elinvar.data.idx import parse_idx
from elinvar.data.loader import DataLoader, Dataset, TensorDataset, collate

__all__ = [
    "DataLoader",
    "Dataset",
    "FASHION_CLASSES",
    "TensorDataset",
    "collate",
    "digits",
    "fashion_mnist",
    "parse_idx",
]
