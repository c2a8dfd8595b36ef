"""Wrong uses and what `mypy --strict` says of each: the comment is a part of the message.

This file is read by mypy only; nothing here is run.
"""

from __future__ import annotations

from typing import Any

import elinvar as el
from elinvar import Tensor, nn
from elinvar.nn import functional as F

x = el.ones((2, 3))

el.exp("2")  # error: Argument 1 to "exp" has incompatible type "str"
el.exp(x, x)  # error: Too many arguments for "exp"
el.exp(x=x)  # error: Unexpected keyword argument "x" for "exp"
el.add(x)  # error: Too few arguments for "add"
el.expp(x)  # error: Module has no attribute "expp"
el.sum(x, 0, True)  # error: Too many positional arguments for "sum"
el.sum(x, axis="rows")  # error: Argument "axis" to "sum" has incompatible type "str"
el.sum(x, dim=0)  # error: Unexpected keyword argument "dim" for "sum"
el.zeros("ab")  # error: Argument 1 to "zeros" has incompatible type "str"
el.zeros((2,), dtype=32)  # error: Argument "dtype" to "zeros" has incompatible type "int"
el.concat(x, axis=(0, 1))  # error: Argument "axis" to "concat" has incompatible type "tuple[int, int]"
x.expp()  # error: "Tensor" has no attribute "expp"
x.reshape("a")  # error: Argument 1 to "reshape" of "Tensor" has incompatible type "str"
x.sum(axes=0)  # error: Unexpected keyword argument "axes" for "sum" of "Tensor"
x + "1"  # error: Unsupported operand types for +
x @ None  # error: Unsupported operand types for @
x.requires_grad = 1  # error: Incompatible types in assignment
x.shape = (6,)  # error: Property "shape" defined in "Tensor" is read-only
count: int = x.sum()  # error: Incompatible types in assignment (expression has type "Tensor", variable has type "int")
x.grad.sum()  # error: Item "None" of "Tensor | None" has no attribute "sum"
x.exp_(1)  # error: Too many arguments for "exp_" of "Tensor"
x.backward(gradient="1")  # error: Argument "gradient" to "backward" of "Tensor" has incompatible type "str"

layer = nn.Linear("3", 4)  # error: Argument 1 to "Linear" has incompatible type "str"
layer(x, x)  # error: Too many arguments for "__call__" of "Module"
layer("x")  # error: Argument 1 to "__call__" of "Module" has incompatible type "str"
nn.Linear(3, 4, biass=False)  # error: Unexpected keyword argument "biass" for "Linear"
F.softmax(x, axis=0)  # error: Unexpected keyword argument "axis" for "softmax"
F.cross_entropy(x)  # error: Missing positional argument "target"
el.optim.SGD(3)  # error: Argument 1 to "SGD" has incompatible type "int"
el.optim.Adam([x], beta=0.9)  # error: Unexpected keyword argument "beta" for "Adam"


def loss(w: Tensor, scale: float) -> Tensor:
    """A number."""
    return w.sum() * scale


el.grad(loss)(x)  # error: Too few arguments
el.grad(loss)("w", 1.0)  # error: Argument 1 has incompatible type "str"
step = el.jit(loss)
step(x)  # error: Missing positional argument "scale" in call to "__call__" of "Jit"
step(x, 1.0).nope()  # error: "Tensor" has no attribute "nope"
el.jit(3)  # error: No overload variant of "jit" matches argument type "int"
el.set_num_threads("2")  # error: Argument 1 to "set_num_threads" has incompatible type "str"


class Wrong(nn.Module):
    """`forward` gives a tensor, and the user takes it for a pair."""

    def forward(self, x: Tensor) -> Tensor:
        return x


a: tuple[Any, Any] = Wrong()(x)  # error: Incompatible types in assignment
