"""Programs whose bits are compared between machines and instruction sets.

    python tests/machines.py [--only WORD …] [--list]     prints {name: digest} as JSON

Every program makes its own inputs from fixed seeds. A NaN counts as equal to any NaN: which bits
it has is the machine's affair (docs/numerics.md). Needs numpy, llvmlite and Elinvar alone.
"""

import argparse
import hashlib
import json
import sys
import zlib

import numpy as np
from compiled import run_compiled, stored

import elinvar as el
import elinvar.nn.functional as F
from elinvar import nn
from elinvar.graph.ir import Builder
from elinvar.graph.regions import build_params
from elinvar.ops.table import TABLE

DTYPES = {"f32": el.float32, "f64": el.float64, "bf16": el.bfloat16, "f16": el.float16}


def bits_of(tensor):
    """The bits in memory, with one NaN for all."""
    if isinstance(tensor, el.Tensor):
        dtype = tensor.dtype
        wide = tensor.astype(el.float32) if dtype is el.bfloat16 else tensor  # exact
        array = np.ascontiguousarray(wide.numpy())
    else:
        array = np.ascontiguousarray(tensor)
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag])
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        array[np.isnan(array)] = abs(array.dtype.type(np.nan))
    return array.tobytes()


def digest(tensors):
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(bits_of(tensor))
    return found.hexdigest()[:24]


def normal(*shape, seed=0, dtype="f32"):
    values = np.random.default_rng(seed + sum(shape)).normal(size=shape)
    return el.asarray(values.astype(np.float64 if dtype == "f64" else np.float32)).astype(
        DTYPES[dtype]
    )


def with_gradients(function, *operands):
    """The result, and the gradients of its products with fixed numbers."""
    leaves = [operand.detach().requires_grad_() for operand in operands]
    result = function(*leaves)
    weights = np.random.default_rng(3).normal(size=result.shape).astype(np.float32)
    (result * el.asarray(weights).astype(result.dtype)).sum().backward()
    return [result, *(leaf.grad for leaf in leaves)]


# ---- the op table -------------------------------------------------------------------------------


def _same_everywhere(op, operand):
    """Operands of this op's samples come out of numpy's exp and log, whose last bits are the machine's."""
    if op.name != "attention_backward" or operand.dtype.kind != "f":
        return operand
    return operand.astype(np.float16).astype(operand.dtype)


def sample_of(op, sample):
    builder = Builder()
    inputs = tuple(builder.input(kind) for kind in sample.types)
    graph = builder.graph(builder.add(op, inputs, build_params(sample.params)))
    results = run_compiled(graph, [_same_everywhere(op, x) for x in sample.operands])
    return [
        stored(r, v.dtype) if v.dtype.kind != "f" else np.asarray(r)
        for r, v in zip(results, graph.outputs, strict=True)
    ]


def op_programs():
    return {
        f"op/{op.name}/{number}": lambda op=op, sample=sample: sample_of(op, sample)
        for op in TABLE
        for number, sample in enumerate(op.samples())
    }


# ---- kernels with an order of their own ------------------------------------------------------------


def products():
    found = {}
    for dtype in DTYPES:
        for m, k, n in ((1, 300, 7), (5, 600, 33), (70, 129, 90)):
            found[f"product/{dtype}/{m}x{k}x{n}"] = lambda d=dtype, m=m, k=k, n=n: with_gradients(
                el.matmul, normal(m, k, dtype=d), normal(k, n, seed=1, dtype=d)
            )
    rng = np.random.default_rng(4)
    bytes_ = rng.integers(-128, 128, (2, 40, 40)).astype(np.int8)
    found["product/int8"] = lambda: [
        el.matmul(el.asarray(bytes_[0]), el.asarray(bytes_[1]), dtype=el.int32)
    ]
    return found


def convolutions():
    cases = {
        "winograd": ((2, 32, 13, 12), (16, 32, 3, 3), {"padding": 1}),
        "direct": ((2, 3, 11, 9), (5, 3, 3, 3), {"stride": 2, "padding": 1}),
        "depthwise": ((2, 24, 10, 10), (24, 1, 3, 3), {"padding": 1, "groups": 24}),
        "groups": ((1, 8, 9, 9), (12, 2, 2, 2), {"groups": 4, "dilation": 2}),
    }
    return {
        f"convolution/{name}/{dtype}": lambda x=x, w=w, o=options, d=dtype: with_gradients(
            lambda x, w: F.conv2d(x, w, **o), normal(*x, dtype=d), normal(*w, seed=2, dtype=d)
        )
        for name, (x, w, options) in cases.items()
        for dtype in ("f32", "f64", "bf16")
        if name != "winograd" or dtype == "f32"
    }


def attentions():
    def one(dtype, causal):
        q, k, v = (normal(2, 3, 70, 16, seed=s, dtype=dtype) for s in range(3))
        attend = F.scaled_dot_product_attention
        return with_gradients(lambda q, k, v: attend(q, k, v, is_causal=causal), q, k, v)

    return {
        f"attention/{dtype}/{causal}": lambda d=dtype, c=causal: one(d, c)
        for dtype in ("f32", "f64", "bf16")
        for causal in (False, True)
    }


def rows():
    """Reductions, norms, sorting, random numbers."""
    found = {}
    for dtype in DTYPES:
        x = lambda d=dtype: normal(9, 5, 333, dtype=d) * 3  # noqa: E731
        found |= {
            f"rows/{dtype}/sums": lambda x=x: [
                el.sum(x(), axis=axis) for axis in (None, 0, 1, 2, (0, 2))
            ],
            f"rows/{dtype}/variance": lambda x=x: with_gradients(
                lambda x: el.var(x, axis=-1), x()
            ),
            f"rows/{dtype}/softmax": lambda x=x: with_gradients(lambda x: F.softmax(x, -1), x()),
            f"rows/{dtype}/layer_norm": lambda x=x: with_gradients(
                lambda x: F.layer_norm(x, (333,)), x()
            ),
            f"rows/{dtype}/gelu": lambda x=x: with_gradients(F.gelu, x()),
            f"rows/{dtype}/cumsum": lambda x=x: [el.cumulative_sum(x(), axis=2)],
            f"rows/{dtype}/sort": lambda x=x: [el.sort(x(), axis=-1), el.argsort(x(), axis=1)],
        }
    found["rows/random"] = lambda: _random()
    return found


def _random():
    el.manual_seed(7)
    return [el.randn(1001), el.rand(333), el.randint(0, 1000, (77,)), F.dropout(el.ones(500), 0.3)]


# ---- transforms, linear algebra, complex numbers, special functions --------------------------------


def grid(*shape, low=-1.0, high=1.0, seed=0, dtype="f32"):
    """Numbers from low to high, the same everywhere: products and sums alone make them."""
    drawn = np.random.default_rng(seed + sum(shape)).integers(0, 1 << 20, shape) / (1 << 20)
    return el.asarray(drawn * (high - low) + low, dtype=el.float64).astype(DTYPES[dtype])


def complex_grid(*shape, seed=0, dtype="f32"):
    return el.complex(grid(*shape, seed=seed, dtype=dtype), grid(*shape, seed=seed + 1, dtype=dtype))


def of_functions(name, functions, *operands):
    """Programs `name/function`, each of which gives the function's results."""
    return {
        f"{name}/{word}": lambda f=f: el.tree.leaves(f(*(make() for make in operands)))
        for word, f in functions.items()
    }


def transforms():
    """All radices, two passes, chirps; real numbers; another axis; gradients."""
    found = {}
    for dtype in ("f32", "f64"):
        for n in (1, 7, 12, 60, 97, 256, 260, 1009, 2048):
            name = f"fft/{dtype}/{n}"
            whole = lambda n=n, d=dtype: complex_grid(3, n, dtype=d)  # noqa: E731
            found[f"{name}/complex"] = lambda z=whole: [
                el.fft.fft(z()), el.fft.ifft(z()), el.fft.fft(z(), axis=0)
            ]
            found[f"{name}/real"] = lambda n=n, d=dtype: [
                el.fft.rfft(grid(5, n, dtype=d)), el.fft.irfft(complex_grid(5, n // 2 + 1, dtype=d), n=n),
            ]
        found[f"fft/{dtype}/gradient"] = lambda d=dtype: with_gradients(
            lambda x: el.abs(el.fft.rfft2(x)), grid(2, 12, 30, dtype=d)
        )
    return found


def linear_algebra():
    """Small matrices, and such as are cut into blocks; of real and of complex numbers."""
    linalg = el.linalg
    functions = {
        "lu": linalg.lu, "qr": linalg.qr, "inv": linalg.inv, "det": linalg.det,
        "slogdet": linalg.slogdet, "svd": linalg.svd, "svdvals": linalg.svdvals, "pinv": linalg.pinv,
        "solve": lambda a: linalg.solve(a, a[:, :3]), "eig": linalg.eig, "eigvals": linalg.eigvals,
        "matrix_exp": linalg.matrix_exp, "matrix_norm": linalg.matrix_norm,
        "matrix_power": lambda a: linalg.matrix_power(a, -3),
        "lstsq": lambda a: linalg.lstsq(a[:, :4], a[:, 4:])[0],
    }  # fmt: skip
    of_squares = {"cholesky": linalg.cholesky, "eigh": linalg.eigh, "eigvalsh": linalg.eigvalsh}

    def square(a):
        return el.matmul(a, el.conj(el.matrix_transpose(a))) + el.eye(a.shape[-1], dtype=a.dtype)

    of_squares = {word: lambda a, f=f: f(square(a)) for word, f in of_squares.items()}
    found = {}
    for name, n, dtype in (("f32", 6, "f32"), ("f32", 70, "f32"), ("f64", 6, "f64"), ("c64", 6, "f32"), ("c128", 70, "f64")):
        make = complex_grid if name.startswith("c") else grid
        matrix = lambda n=n, m=make, d=dtype: m(n, n, dtype=d)  # noqa: E731
        found |= of_functions(f"linalg/{name}/{n}", functions | of_squares, matrix)
    for word in ("inv", "det", "cholesky"):
        f = {**functions, **of_squares}[word]
        found[f"linalg/f32/gradient/{word}"] = lambda f=f: with_gradients(f, grid(6, 6))
    return found


COMPLEX = (
    "exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh "
    "abs sign square reciprocal angle"
).split()


def complexes():
    found = {}
    for dtype in ("f32", "f64"):
        x, y = (lambda s=s, d=dtype: complex_grid(7, 33, seed=s, dtype=d) for s in (0, 5))
        found |= of_functions(f"complex/{dtype}", {word: getattr(el, word) for word in COMPLEX}, x)
        pairs = {"multiply": el.multiply, "divide": el.divide, "pow": el.pow}
        pairs["matmul"] = lambda x, y: el.matmul(x, el.matrix_transpose(y))
        pairs["sums"] = lambda x, y: [el.sum(x, axis=0), el.prod(y, axis=1), el.cumulative_sum(x, axis=1)]
        found |= of_functions(f"complex/{dtype}", pairs, x, y)
    return found


SPECIAL = {  # functions of numbers from … to …, of one, two and three of them
    (-8, 8): "erf erfc erfcx exp1 expi expit expm1 gamma gammaln gammasgn digamma i0 i0e i1 i1e log_expit log_ndtr "
    "ndtr sinc softplus log_softmax logsumexp",
    (0, 1): "entr erfcinv erfinv log1p logit ndtri spence",
    (0.25, 12): "beta betaln binom comb gammainc gammaincc kl_div poch rel_entr random_gamma_grad xlog1py xlogy",
    (1.25, 9): "zeta",
    (0.125, 0.875): "betainc",
}  # fmt: skip


def special_functions():
    found = {}
    for dtype in ("f32", "f64"):
        for (low, high), words in SPECIAL.items():
            counts = {(0.25, 12): 2, (1.25, 9): 2, (0.125, 0.875): 3}
            operands = [
                lambda s=s, a=low, b=high, d=dtype: grid(401, low=a, high=b, seed=s, dtype=d)
                for s in range(counts.get((low, high), 1))
            ]
            functions = {word: getattr(el.special, word) for word in words.split()}
            found |= of_functions(f"special/{dtype}", functions, *operands)
        found[f"special/{dtype}/polygamma"] = lambda d=dtype: [
            el.special.polygamma(n, grid(401, low=0.25, high=12, dtype=d)) for n in (1, 4)
        ]
        found[f"special/{dtype}/gradients"] = lambda d=dtype: with_gradients(
            lambda a, x: el.special.gammaincc(a, x) * el.special.gammaln(x),
            *(grid(101, low=0.25, high=12, seed=s, dtype=d) for s in range(2)),
        )
    return found


# ---- training -----------------------------------------------------------------------------------


class Block(nn.Module):
    """A transformer block with causal attention."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        batch, length, width = x.shape
        split = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(11, 24), nn.Embedding(13, 24)
        self.blocks = nn.Sequential(Block(24, 3), Block(24, 3))
        self.head = nn.Linear(24, 11, bias=False)

    def forward(self, x):
        return self.head(self.blocks(self.token(x) + self.place(el.arange(x.shape[1]))))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(7, 19, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(19, 4)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def mlp():
    return nn.Sequential(
        nn.Linear(37, 50), nn.Tanh(), nn.Dropout(0.2), nn.Linear(50, 33), nn.GELU(), nn.Linear(33, 5)
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(6 * 2 * 2, 5),
    )  # fmt: skip


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": Recurrent, "gpt": GPT}


def data(name, dtype):
    rng = np.random.default_rng(5)
    if name == "gpt":
        return (el.asarray(rng.integers(0, 11, (3, 13))) for _ in range(2))
    shape = {"mlp": (9, 37), "cnn": (6, 2, 11, 11), "lstm": (4, 6, 7)}[name]
    x = el.asarray(rng.normal(size=shape).astype(np.float32)).astype(DTYPES[dtype])
    return x, el.asarray(rng.integers(0, 4, shape[0]))


def train(name, dtype, steps=20):
    """All losses, parameters and buffers of some steps of AdamW, compiled."""
    el.manual_seed(1)
    model = MODELS[name]().to(DTYPES[dtype])
    optimizer = el.optim.AdamW(model.parameters(), lr=0.01)

    @el.jit
    def step(x, y):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    x, y = data(name, dtype)
    losses = [step(x, y) for _ in range(steps)]
    assert losses[-1].item() < losses[0].item()
    return [*losses, *model.state_dict().values()]


def trainings():
    return {
        f"train/{name}/{dtype}": lambda n=name, d=dtype: train(n, d)
        for name in MODELS
        for dtype in ("f32", "bf16")
    }


def programs():
    """All programs by name."""
    parts = (
        op_programs, products, convolutions, attentions, rows, transforms, linear_algebra, complexes,
        special_functions, trainings,
    )  # fmt: skip
    return {name: program for part in parts for name, program in part().items()}


def chosen(only, part=1):
    """The programs whose names have one of the words; of them every so many, spread evenly."""
    names = [n for n in programs() if not only or any(word in n for word in only)]
    return [n for n in names if zlib.crc32(n.encode()) % part == 0]


def main():
    parser = argparse.ArgumentParser(description="Digests of programs' results, as JSON")
    parser.add_argument("--only", nargs="*", default=[], help="words of which names have one")
    parser.add_argument("--part", type=int, default=1, help="one in so many programs")
    parser.add_argument("--list", action="store_true", help="only the names")
    given = parser.parse_args()
    known, names = programs(), chosen(given.only, given.part)
    if given.list:
        print("\n".join(names))
        return
    found = {}
    for name in names:
        try:
            found[name] = digest(known[name]())
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        print(name, found[name], file=sys.stderr, flush=True)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
