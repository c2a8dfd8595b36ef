"""Arrays and tables as files that are the same whenever the values are: `.npy` and Arrow's format.

Layout in memory, byte order, chunks, slices and what lies under missing values make no difference.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import DataError, DTypeError, ValueRangeError, fail
from elinvar.tensor.interop import readable_array
from elinvar.tensor.tensor import Tensor

TABLE = "table.arrow"
ARRAY = "array.npy"
_KINDS = "biufcSUMmV"
_ROWS = 1 << 16  # of a batch of a table, whatever its chunks were
_LONGEST = 240

Content = list[Any]  # parts that are bytes, or arrays of them
Files = tuple[str, list[tuple[str, Content]]]


def canonical(source: Any) -> Files:
    """The kind of values, and their files in the order of their paths.

    Raises:
        DTypeError: it is nothing that can be stored.
    """
    table = _as_table(source)
    if table is not None:
        try:
            return "table", [(TABLE, [_arrow_bytes(table)])]
        except arrow().ArrowException as error:
            kinds = ", ".join(f"{one.name}: {one.type}" for one in table.schema)[:_LONGEST]
            text = f"the table cannot be stored ({' '.join(str(error).split())}); it has {kinds}"
            raise DTypeError(f"[data] {text}") from error
    if isinstance(source, Mapping):
        for key in source:
            if not isinstance(key, str):
                fail(DTypeError, "data", f"keys of a dict must be texts, received {key!r}")
            if not (key.isprintable() and len(quote(key)) < _LONGEST):
                fail(ValueRangeError, "data", f"{key[:_LONGEST]!r} cannot be a file's name")
        named = {_file_of(key): (repr(key), value) for key, value in source.items()}
        kind = "dict"
    elif isinstance(source, tuple | list):
        named = {f"{i}.npy": (str(i), value) for i, value in enumerate(source)}
        kind = "tuple"
    else:
        named, kind = {ARRAY: ("", source)}, "array"
    if not named:
        fail(ValueRangeError, "data", f"there is no array in an empty {type(source).__name__}")
    files = [(path, npy_parts(*named[path])) for path in sorted(named, key=str.encode)]
    return kind, files


def _file_of(key: str) -> str:
    return quote(key, safe=" ") + ".npy"


def as_array(value: Any, place: str = "") -> npt.NDArray[Any]:
    """A value as an array of NumPy's; bfloat16 as float32, which holds the same numbers.

    Raises:
        DTypeError: it is none, or its elements have no bytes of their own.
    """
    where = f" at {place}" if place else ""
    if isinstance(value, Tensor):
        found = readable_array(value.detach(), "data")
    elif isinstance(value, np.ndarray | np.generic | int | float | complex):
        found = np.asarray(value)
    elif hasattr(value, "__array__"):
        found = np.asarray(value)
    else:
        text = f"expected a path, an array, a tuple or dict of arrays, or a table{where}; received "
        fail(DTypeError, "data", text + type(value).__name__)
    if found.dtype.hasobject or found.dtype.kind not in _KINDS:
        text = f"an array{where} of {found.dtype} cannot be stored: its elements are Python objects"
        fail(DTypeError, "data", text, "give it a type of numbers, or texts as a fixed 'U' type")
    return found


def npy_parts(place: str, value: Any) -> Content:
    """The `.npy` file of an array: head and elements, in C order and least byte first."""
    array = as_array(value, place)
    dtype = array.dtype
    if dtype.fields is not None:  # bytes between fields may be anything
        functions = importlib.import_module("numpy.lib.recfunctions")
        dtype = functions.repack_fields(dtype, recurse=True)
    array = np.asarray(array, dtype.newbyteorder("<"), order="C")
    head = io.BytesIO()
    told = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(head, {**told, "shape": array.shape})
    if not array.nbytes:
        return [head.getvalue()]
    return [head.getvalue(), array.reshape(-1).view(np.uint8)]


# ---- tables -------------------------------------------------------------------------------------


def arrow() -> Any:
    """The package pyarrow.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        fail(DataError, "data", "tables need the package pyarrow", "pip install 'elinvar[tables]'")


def _as_table(source: Any) -> Any:
    """A table of pyarrow's; None for what is none."""
    module = type(source).__module__.partition(".")[0]
    if module == "pyarrow":
        pa = arrow()
        if isinstance(source, pa.RecordBatch):
            return pa.Table.from_batches([source])
        if isinstance(source, pa.Table):
            return source
        if isinstance(source, pa.Array | pa.ChunkedArray):
            text = f"expected a table, received a pyarrow {type(source).__name__}"
            fail(DTypeError, "data", text, "put it in a table, as a column with a name")
    if module in ("pandas", "polars") and type(source).__name__ == "DataFrame":
        return arrow().Table.from_pandas(source) if module == "pandas" else source.to_arrow()
    return None


def _arrow_bytes(table: Any) -> Any:
    """A table as a file of Arrow's, the same for the same values."""
    pa = arrow()
    ipc = importlib.import_module("pyarrow.ipc")
    told = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    fields = [one.with_metadata(_in_order(one.metadata)) for one in table.schema]
    columns = [_plain(pa, column) for column in table.columns]
    fields = [one.with_type(column.type) for one, column in zip(fields, columns)]
    whole = pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=_in_order(told)))
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression=None, use_threads=False)
    with ipc.new_file(sink, whole.schema, options=options) as writer:
        for start in range(0, len(whole), _ROWS):
            # A slice shares offsets and bits with the rest; a taken part has its own from zero.
            part = whole.slice(start, _ROWS)
            rows = pa.array(np.arange(len(part)))
            taken = [_under_nulls(pa, one.take(rows).combine_chunks()) for one in part.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(taken, schema=whole.schema))
    return np.frombuffer(sink.getvalue(), np.uint8)


def _in_order(metadata: Any) -> Any:
    return dict(sorted(metadata.items())) if metadata else None


def _plain(pa: Any, column: Any) -> Any:
    """A column with its values spelt out: dictionaries may say the same in many ways."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _under_nulls(pa: Any, column: Any) -> Any:
    """A part of a column with zeros under its missing values, where they have room."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if not column.null_count or pa.types.is_nested(column.type):
        return column
    try:
        width = column.type.bit_width
    except ValueError:  # texts and bytes: nothing lies there
        return column
    validity, data = column.buffers()[:2]
    if data is None or validity is None or len(column.buffers()) > 2:
        return column
    bits = np.frombuffer(validity, np.uint8)
    if width == 1:
        count = (len(column) + 7) // 8
        clean = pa.py_buffer(np.frombuffer(data, np.uint8)[:count] & bits[:count])
        return pa.Array.from_buffers(column.type, len(column), [validity, clean])
    valid = np.unpackbits(bits, bitorder="little")[: len(column)].astype(bool)
    values = np.frombuffer(data, np.uint8)[: len(column) * (width // 8)].reshape(len(column), -1)
    clean = pa.py_buffer(np.ascontiguousarray(values * valid[:, None]))
    return pa.Array.from_buffers(column.type, len(column), [validity, clean], column.null_count)


# ---- reading back -------------------------------------------------------------------------------


def arrays_of(kind: str, paths: Iterable[str], read: Callable[[str], bytes]) -> Any:
    """The arrays of a version, in the form in which they were committed.

    Args:
        kind: of the version.
        paths: of its files.
        read: gives a file's content.

    Raises:
        DataError: the version was not made of arrays.
    """
    if kind == "array":
        return _from_npy(read(ARRAY))
    if kind == "tuple":
        return tuple(_from_npy(read(f"{i}.npy")) for i in range(len(list(paths))))
    if kind == "dict":
        return {unquote(path.removesuffix(".npy")): _from_npy(read(path)) for path in sorted(paths)}
    if kind == "table":
        table = table_of(kind, read)
        return {
            name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names
        }
    fail(DataError, "data", f"a version of a {kind} has no arrays", "its files are in `.path`")


def table_of(kind: str, read: Callable[[str], bytes]) -> Any:
    """The table of a version.

    Raises:
        DataError: the version was not made of one.
    """
    if kind != "table":
        fail(DataError, "data", f"a version of a {kind} has no table", "its files are in `.path`")
    pa = arrow()
    return importlib.import_module("pyarrow.ipc").open_file(pa.py_buffer(read(TABLE))).read_all()


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    return np.load(io.BytesIO(content), allow_pickle=False)
