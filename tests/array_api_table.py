"""The functions of the Python Array API standard, revision 2025.12: names and parameters.

A line is a function: positional-only parameters, then `/`, what may be named, then `*`, what must be.
"""

CREATION = """
arange start / stop=None step=1 * dtype=None device=None
asarray obj / * dtype=None device=None copy=None
empty shape * dtype=None device=None
empty_like x / * dtype=None device=None
eye n_rows n_cols=None / * k=0 dtype=None device=None
from_dlpack x / * device=None copy=None
full shape fill_value * dtype=None device=None
full_like x / fill_value * dtype=None device=None
linspace start stop / num * dtype=None device=None endpoint=True
meshgrid *arrays indexing='xy'
ones shape * dtype=None device=None
ones_like x / * dtype=None device=None
tril x / * k=0
triu x / * k=0
zeros shape * dtype=None device=None
zeros_like x / * dtype=None device=None
"""

DATA_TYPES = """
astype x dtype / * copy=True device=None
can_cast from_ to /
finfo type /
iinfo type /
isdtype dtype kind
result_type *arrays_and_dtypes
"""

ONE_OPERAND = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite
isinf isnan log log1p log2 log10 logical_not negative positive real reciprocal round sign signbit sin
sinh square sqrt tan tanh trunc
"""

TWO_OPERANDS = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide
equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or
logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract
"""

OTHER_ELEMENTWISE = """
clip x / min=None max=None
"""

INDEXING = """
take x indices / * axis=None
take_along_axis x indices / * axis=-1
"""

PRODUCTS = """
matmul x1 x2 /
matrix_transpose x /
tensordot x1 x2 / * axes=2
vecdot x1 x2 / * axis=-1
"""

MANIPULATION = """
broadcast_arrays *arrays
broadcast_shapes *shapes
broadcast_to x / shape
concat arrays / * axis=0
expand_dims x / axis
flip x / * axis=None
moveaxis x source destination /
permute_dims x / axes
repeat x repeats / * axis=None
reshape x / shape * copy=None
roll x / shift * axis=None
squeeze x / axis
stack arrays / * axis=0
tile x repetitions /
unstack x / * axis=0
"""

SEARCHING = """
argmax x / * axis=None keepdims=False
argmin x / * axis=None keepdims=False
count_nonzero x / * axis=None keepdims=False
nonzero x /
searchsorted x1 x2 / * side='left' sorter=None
where condition x1 x2 /
"""

SETS = """
isin x1 x2 / * invert=False
unique_all x /
unique_counts x /
unique_inverse x /
unique_values x /
"""

SORTING = """
argsort x / * axis=-1 descending=False stable=True
sort x / * axis=-1 descending=False stable=True
"""

STATISTICS = """
cumulative_prod x / * axis=None dtype=None include_initial=False
cumulative_sum x / * axis=None dtype=None include_initial=False
max x / * axis=None keepdims=False
mean x / * axis=None keepdims=False
min x / * axis=None keepdims=False
prod x / * axis=None dtype=None keepdims=False
std x / * axis=None correction=0.0 keepdims=False
sum x / * axis=None dtype=None keepdims=False
var x / * axis=None correction=0.0 keepdims=False
"""

UTILITIES = """
all x / * axis=None keepdims=False
any x / * axis=None keepdims=False
diff x / * axis=-1 n=1 prepend=None append=None
"""

# of the extension `linalg`: what has no decomposition in it
LINALG = """
cross x1 x2 / * axis=-1
diagonal x / * offset=0
matmul x1 x2 /
matrix_norm x / * keepdims=False ord='fro'
matrix_power x n /
matrix_transpose x /
outer x1 x2 /
tensordot x1 x2 / * axes=2
trace x / * offset=0 dtype=None
vecdot x1 x2 / * axis=-1
vector_norm x / * axis=None keepdims=False ord=2
"""

OPERATORS = """
abs add and eq floordiv ge gt invert le lshift lt matmul mod mul ne neg or pos pow rshift sub truediv
xor
"""
REFLECTED = "add and floordiv lshift matmul mod mul or pow rshift sub truediv xor"

METHODS = """
__array_namespace__ self * api_version=None
__bool__ self
__complex__ self
__dlpack__ self * stream=None max_version=None dl_device=None copy=None
__dlpack_device__ self
__float__ self
__getitem__ self key
__index__ self
__int__ self
__setitem__ self key value
to_device self device / * stream=None
"""

ATTRIBUTES = "T device dtype mT ndim shape size"
CONSTANTS = "e inf nan newaxis pi"
DTYPES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
"""


def functions() -> dict[str, str]:
    """Names → parameters, as they stand above."""
    tables = (
        CREATION, DATA_TYPES, OTHER_ELEMENTWISE, INDEXING, PRODUCTS, MANIPULATION, SEARCHING, SETS,
        SORTING, STATISTICS, UTILITIES,
    )  # fmt: skip
    found = dict(line.split(" ", 1) for table in tables for line in table.strip().splitlines())
    found |= dict.fromkeys(ONE_OPERAND.split(), "x /")
    return found | dict.fromkeys(TWO_OPERANDS.split(), "x1 x2 /")


def lines(table: str) -> dict[str, str]:
    """Names → parameters of one table."""
    return dict(line.split(" ", 1) for line in table.strip().splitlines())
