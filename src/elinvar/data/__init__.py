"""Data sets and batches."""

from elinvar.core.errors import DataError, DataMissingError
from elinvar.data.fashion import FASHION_CLASSES, digits, fashion_mnist
from elinvar.data.idx import parse_idx
from elinvar.data.loader import DataLoader, Dataset, TensorDataset, collate

__all__ = [
    "DataError",
    "DataLoader",
    "DataMissingError",
    "Dataset",
    "FASHION_CLASSES",
    "TensorDataset",
    "collate",
    "digits",
    "fashion_mnist",
    "parse_idx",
]
