"""Data sets, pipelines and batches."""

from elinvar.core.errors import DataError, DataMissingError
from elinvar.data import transforms
from elinvar.data.begin import (
    arrow,
    csv,
    from_arrays,
    from_sequence,
    from_stream,
    image_folder,
    json_lines,
    parquet,
    sound_files,
    tar,
    text_lines,
)
from elinvar.data.fashion import FASHION_CLASSES, digits, fashion_mnist
from elinvar.data.idx import parse_idx
from elinvar.data.known import electricity_demand, nyc_flights
from elinvar.data.loader import DataLoader, Dataset, TensorDataset, collate
from elinvar.data.pipeline import Pipeline
from elinvar.data.prompts import spoken_prompts
from elinvar.data.source import Source
from elinvar.data.texts import Mail, moby_dick, spam_mails

__all__ = [
    "DataError",
    "DataLoader",
    "DataMissingError",
    "Dataset",
    "FASHION_CLASSES",
    "Mail",
    "Pipeline",
    "Source",
    "TensorDataset",
    "arrow",
    "collate",
    "csv",
    "digits",
    "electricity_demand",
    "fashion_mnist",
    "from_arrays",
    "from_sequence",
    "from_stream",
    "image_folder",
    "json_lines",
    "moby_dick",
    "nyc_flights",
    "parquet",
    "parse_idx",
    "sound_files",
    "spam_mails",
    "spoken_prompts",
    "tar",
    "text_lines",
    "transforms",
]
