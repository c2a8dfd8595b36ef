"""Recurrent layers over sequences: RNN, LSTM, GRU.

The input's part of the gates, with all biases that can be added there, is one matrix product over
all time steps; the rest is one `scan`, so that a compiled program holds one loop, whatever the
length. Parameters and the order of gates are PyTorch's: `weight_ih_l0`, `weight_hh_l0`,
`bias_ih_l0`, `bias_hh_l0`, then `_reverse` and `_l1` ….
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn import functional, init
from elinvar.nn.cells import gru_step, input_bias, lstm_step, rnn_step
from elinvar.nn.linear import new_parameter
from elinvar.nn.module import Module
from elinvar.tensor.autocasting import low_dtype, lowered
from elinvar.tensor.control import scan
from elinvar.tensor.creation import zeros
from elinvar.tensor.manipulation import concat, stack
from elinvar.tensor.tensor import Tensor

States = tuple[Tensor, ...]
Step = Callable[..., States]


class _Recurrent(Module):
    """Layers, directions, dropout and shapes: everything but the step itself."""

    hidden_size: int
    input_size: int
    num_layers: int
    batch_first: bool
    bias: bool
    dropout: float

    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        op = type(self).__name__
        for name, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if value < 1:
                fail(ValueRangeError, op, f"{name} must be at least 1, received {value}")
        if not 0.0 <= dropout <= 1.0:
            fail(ValueRangeError, op, f"dropout must be between 0 and 1, received {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional = bidirectional
        self.directions = 2 if bidirectional else 1
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * self.directions
            for suffix in self._suffixes(layer):
                setattr(self, f"weight_ih_{suffix}", new_parameter((rows, size), dtype))
                setattr(self, f"weight_hh_{suffix}", new_parameter((rows, hidden_size), dtype))
                if bias:
                    setattr(self, f"bias_ih_{suffix}", new_parameter((rows,), dtype))
                    setattr(self, f"bias_hh_{suffix}", new_parameter((rows,), dtype))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        return (f"l{layer}", f"l{layer}_reverse")[: self.directions]

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-k, k), k = 1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            order = "(batch, time, features)" if self.batch_first else "(time, batch, features)"
            text = f"expected {order} or (time, features) with {self.input_size} features"
            fail(ShapeError, type(self).__name__, f"{text}, received {input._type}")

    def _first_states(self, batch: int, given: States | None, input: Tensor) -> States:
        shape = (self.num_layers * self.directions, batch, self.hidden_size)
        if given is None:
            return tuple(zeros(shape, dtype=input.dtype) for _ in range(self.states))
        for state in given:
            if tuple(state.shape) != shape:
                text = f"the first state must have shape {shape}, received {state._type}"
                fail(ShapeError, type(self).__name__, text)
        return given

    def _run(self, step: Step, input: Tensor, given: States | None) -> tuple[Tensor, States]:
        """Outputs of the last layer and the final states, stacked over layers and directions."""
        self._check(input)
        batched = input.ndim == 3
        if not batched:
            input = input.unsqueeze(1)  # (T, 1, features)
            given = None if given is None else tuple(state.unsqueeze(1) for state in given)
        elif self.batch_first:
            input = input.transpose(0, 1)  # (T, B, features)
        first = self._first_states(input.shape[1], given, input)
        finals: list[States] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                start = tuple(state[len(finals)] for state in first)
                output, final = self._direction(step, input, start, suffix, direction == 1)
                outputs.append(output)
                finals.append(final)
            input = outputs[0] if len(outputs) == 1 else concat(outputs, axis=-1)
            if self.dropout and layer + 1 < self.num_layers:
                input = functional.dropout(input, self.dropout, self.training)
        final_states = tuple(
            stack([final[index] for final in finals]) for index in range(self.states)
        )
        if not batched:
            return input.squeeze(1), tuple(state.squeeze(1) for state in final_states)
        return (input.transpose(0, 1) if self.batch_first else input), final_states

    def _direction(
        self, step: Step, input: Tensor, start: States, suffix: str, reverse: bool
    ) -> tuple[Tensor, States]:
        """One layer in one direction: (T, B, features) → (T, B, hidden) and the final states."""
        weight_hh = getattr(self, f"weight_hh_{suffix}")
        low = low_dtype()
        if low is not None:  # once for all steps; the gradient, too, is one sum, rounded once
            (weight_hh,) = lowered(low, weight_hh)
        bias_ih = getattr(self, f"bias_ih_{suffix}") if self.bias else None
        bias_hh = getattr(self, f"bias_hh_{suffix}") if self.bias else None
        bias, rest = input_bias(bias_ih, bias_hh, self.gates)
        projected = functional.linear(input, getattr(self, f"weight_ih_{suffix}"), bias)

        def body(states: States, gates: Tensor) -> tuple[States, Tensor]:
            fresh = step(gates, functional.linear(states[0], weight_hh), states, *rest)
            return fresh, fresh[0]

        final, outputs = scan(body, start, projected, reverse=reverse)
        return outputs, final

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


class RNN(_Recurrent):
    """An Elman network: hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh).

    Args:
        input_size: features of each step's input.
        hidden_size: features of the state.
        num_layers: layers on top of each other; each reads the outputs of the one below.
        nonlinearity: `tanh` or `relu`.
        bias: whether the two biases exist.
        batch_first: whether input and output are (batch, time, features).
        dropout: probability of dropping outputs between layers, in training.
        bidirectional: whether a second direction runs from the end.
        dtype: of the parameters; float32 unless told.

    Shape:
        input (T, B, input_size), or (B, T, …) with batch_first, or (T, input_size);
        h0 (layers·directions, B, hidden_size), zeros unless given →
        output (T, B, directions·hidden_size), and the final state, shaped as h0.

    Example:
        >>> import elinvar as el
        >>> output, state = el.nn.RNN(4, 8, num_layers=2)(el.ones((5, 3, 4)))
        >>> output.shape, state.shape
        ((5, 3, 8), (2, 3, 8))
    """

    gates: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        rnn_step(nonlinearity)  # refuses unknown names
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence; returns all outputs and the final state."""
        step = rnn_step(self.nonlinearity)
        output, (final,) = self._run(step, input, None if hx is None else (hx,))
        return output, final

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class GRU(_Recurrent):
    """Gated recurrent units (Cho et al., 2014).

    r = σ(W_ir x + b_ir + W_hr h + b_hr), z = σ(W_iz x + b_iz + W_hz h + b_hz),
    n = tanh(W_in x + b_in + r · (W_hn h + b_hn)), h' = (1 - z) · n + z · h

    Args and Shape as `RNN`; the rows of the weights are r, z, n.

    Example:
        >>> import elinvar as el
        >>> output, state = el.nn.GRU(4, 8, bidirectional=True)(el.ones((5, 3, 4)))
        >>> output.shape, state.shape
        ((5, 3, 16), (2, 3, 8))
    """

    gates: ClassVar[int] = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over the sequence; returns all outputs and the final state."""
        output, (final,) = self._run(gru_step, input, None if hx is None else (hx,))
        return output, final


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    i, f, o = σ(W_i· x + b_i· + W_h· h + b_h·), g = tanh(W_ig x + b_ig + W_hg h + b_hg),
    c' = f · c + i · g, h' = o · tanh(c')

    Args and Shape as `RNN`, but the state is the pair (h, c); the weights' rows are i, f, g, o.

    Example:
        >>> import elinvar as el
        >>> output, (h, c) = el.nn.LSTM(4, 8, batch_first=True)(el.ones((3, 5, 4)))
        >>> output.shape, c.shape
        ((3, 5, 8), (1, 3, 8))
    """

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over the sequence; returns all outputs and the final (h, c)."""
        output, (h, c) = self._run(lstm_step, input, None if hx is None else tuple(hx))
        return output, (h, c)
