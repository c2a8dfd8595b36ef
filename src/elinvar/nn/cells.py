"""One time step of a recurrence: the three steps as functions, and RNNCell, LSTMCell, GRUCell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.nn.parameter import Parameter
from elinvar.tensor.creation import zeros
from elinvar.tensor.manipulation import concat
from elinvar.tensor.tensor import Tensor

States = tuple[Tensor, ...]


def rnn_step(nonlinearity: str) -> Callable[..., States]:
    """The step of an Elman network: f(gates of the input + gates of the state)."""
    if nonlinearity not in ("tanh", "relu"):
        text = f"nonlinearity must be 'tanh' or 'relu', received {nonlinearity!r}"
        fail(ValueRangeError, "RNN", text)

    def step(from_input: Tensor, from_state: Tensor, states: States) -> States:
        total = from_input + from_state
        return (total.tanh() if nonlinearity == "tanh" else total.relu(),)

    return step


def lstm_step(from_input: Tensor, from_state: Tensor, states: States) -> States:
    """c' = f·c + i·g, h' = o·tanh(c'); gates (B, 4·hidden) in the order i, f, g, o."""
    i, f, g, o = (from_input + from_state).chunk(4, -1)
    c = f.sigmoid() * states[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(
    from_input: Tensor, from_state: Tensor, states: States, bias: Tensor | None = None
) -> States:
    """h' = n + z·(h - n); gates (B, 3·hidden) in the order r, z, n; `bias` of the state's part of
    n, which r multiplies."""
    input_r, input_z, input_n = from_input.chunk(3, -1)
    state_r, state_z, state_n = from_state.chunk(3, -1)
    r, z = (input_r + state_r).sigmoid(), (input_z + state_z).sigmoid()
    n = (input_n + r * (state_n if bias is None else state_n + bias)).tanh()
    return (n + z * (states[0] - n),)


def input_bias(
    bias_ih: Tensor | None, bias_hh: Tensor | None, gates: int
) -> tuple[Tensor | None, tuple[Tensor, ...]]:
    """The bias that is added to the input's part of all gates at once, and what is left for each
    step: the last gate's of a GRU, where there are three."""
    if bias_ih is None or bias_hh is None:
        return None, ()
    if gates != 3:
        return bias_ih + bias_hh, ()
    hidden = bias_hh.shape[0] // gates
    early, late = bias_hh[: 2 * hidden], bias_hh[2 * hidden :]
    return bias_ih + concat([early, zeros(late.shape, dtype=late.dtype)]), (late,)


class _Cell(Module):
    """Weights and shapes of a cell: everything but the step itself."""

    bias: bool
    hidden_size: int
    input_size: int
    weight_ih: Parameter
    weight_hh: Parameter

    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = new_parameter((rows, input_size), dtype)
        self.weight_hh = new_parameter((rows, hidden_size), dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new_parameter((rows,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-k, k), k = 1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _run(self, step: Callable[..., States], input: Tensor, given: States | None) -> States:
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            text = f"expected (batch, {self.input_size}) or ({self.input_size},)"
            fail(ShapeError, type(self).__name__, f"{text}, received {input._type}")
        shape = (*input.shape[:-1], self.hidden_size)
        states = given
        if states is None:
            states = tuple(zeros(shape, dtype=input.dtype) for _ in range(self.states))
        for state in states:
            if tuple(state.shape) != tuple(shape):
                text = f"the state must have shape {shape}, received {state._type}"
                fail(ShapeError, type(self).__name__, text)
        bias, rest = input_bias(self.bias_ih, self.bias_hh, self.gates)
        from_input = functional.linear(input, self.weight_ih, bias)
        return step(from_input, functional.linear(states[0], self.weight_hh), states, *rest)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of `RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size, hidden_size: features of the input and of the state.
        bias: whether the two biases exist.
        nonlinearity: `tanh` or `relu`.
        dtype: of the parameters; float32 unless told.

    Shape:
        input (B, input_size) or (input_size,), state (B, hidden_size), zeros unless given →
        the new state.

    Example:
        >>> import elinvar as el
        >>> el.nn.RNNCell(4, 8)(el.ones((3, 4))).shape
        (3, 8)
    """

    gates: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype)
        self.nonlinearity = nonlinearity
        rnn_step(nonlinearity)  # refuses unknown names

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        step = rnn_step(self.nonlinearity)
        return self._run(step, input, None if hx is None else (hx,))[0]


class GRUCell(_Cell):
    """One step of `GRU`. Arguments as `RNNCell`, without the nonlinearity.

    Example:
        >>> import elinvar as el
        >>> el.nn.GRUCell(4, 8)(el.ones((3, 4))).shape
        (3, 8)
    """

    gates: ClassVar[int] = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        return self._run(gru_step, input, None if hx is None else (hx,))[0]


class LSTMCell(_Cell):
    """One step of `LSTM`. Arguments as `GRUCell`; the state is the pair (h, c).

    Example:
        >>> import elinvar as el
        >>> h, c = el.nn.LSTMCell(4, 8)(el.ones((3, 4)))
        >>> h.shape, c.shape
        ((3, 8), (3, 8))
    """

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        h, c = self._run(lstm_step, input, None if hx is None else tuple(hx))
        return h, c
