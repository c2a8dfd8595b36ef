"""What autoray calls otherwise than Elinvar; importing this registers it (also as a pytest plugin)."""

import autoray

import elinvar as el


def reducing(name):
    return lambda x, axis=None, **options: getattr(el, name)(x, axis=axis, **options)


NAMES = {
    "arctan2": el.atan2,
    "concatenate": el.concat,
    "identity": el.eye,
    "power": el.pow,
    "split": el.array_split,
    "tril": lambda x, k=0: el.tril(x, k=k),
    "triu": lambda x, k=0: el.triu(x, k=k),
    "linalg.svd": lambda x, full_matrices=False: el.linalg.svd(x, full_matrices=full_matrices),
    "scipy.linalg.expm": el.linalg.matrix_exp,
    "scipy.linalg.solve_triangular": lambda a, b, lower=False: el.linalg.solve_triangular(a, b, upper=not lower),
    "random.normal": lambda loc=0.0, scale=1.0, size=(), dtype=None: el.randn(size, dtype=dtype) * scale + loc,
} | {name: reducing(name) for name in ("all", "any", "max", "mean", "min", "prod", "std", "sum", "var")}

for name, function in NAMES.items():
    autoray.register_function("elinvar", name, function)
