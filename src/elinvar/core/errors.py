"""Every error that users see, and the one builder of their texts.

    ElinvarError
    ├── ShapeError (ValueError)          shapes or sizes do not fit
    │   └── AxisError (IndexError)       an axis is out of range or repeated
    ├── DTypeError (TypeError)           a data type is not accepted
    ├── ValueRangeError (ValueError)     an argument's value is not accepted
    │   └── LinAlgError                  a matrix is singular, or not positive definite
    ├── OutOfBoundsError (IndexError)    an index points outside of its axis
    ├── TraceError (RuntimeError)        Python needs a value that a trace does not have
    │   └── LeakedTensorError            a traced tensor is used after its trace ended
    ├── GradientError (RuntimeError)     backward or a transform cannot differentiate
    ├── LostWriteError (RuntimeError)    a write that nobody could ever see
    ├── StateError (RuntimeError)        a state dict or file of weights does not fit
    ├── DataError (ValueError)           a file of data is damaged, or not what it claims to be
    │   └── DataMissingError (FileNotFoundError)   a data set is nowhere to be had
    ├── RemoteError (ConnectionError)    a server does not answer, or refuses
    ├── ConfigError (ValueError)         a configuration of a run is not what it should be
    ├── RunError (RuntimeError)         a run's folder is damaged, in use, or not what is asked for
    ├── BadValueError (FloatingPointError)   an operation made a NaN while `debug_nans` looked
    ├── CheckError (AssertionError)      a check of `el.testing` failed
    ├── BufferError_ (BufferError, ValueError, RuntimeError)  memory is gone, or cannot be shared
    └── GraphError (RuntimeError)        a graph or its text is malformed: our fault, or a file's
        └── CompileError                 lowering or LLVM refused a graph

    ValueSemanticsWarning (UserWarning)  a write that PyTorch would make elsewhere, too

A message reads `[op] what is wrong: what was received`, then the user's own line, the module path
and a hint. The same text appears in eager mode, under a trace and in backward.
"""

from __future__ import annotations

from typing import NoReturn

from elinvar.core import source


class ElinvarError(Exception):
    """Base of all errors raised by Elinvar on purpose."""


class ShapeError(ElinvarError, ValueError):
    """Shapes or sizes do not fit."""


class AxisError(ShapeError, IndexError):
    """An axis is out of range or repeated."""


class DTypeError(ElinvarError, TypeError):
    """A data type is not accepted."""


class ValueRangeError(ElinvarError, ValueError):
    """An argument's value is not accepted."""


class LinAlgError(ValueRangeError):
    """A matrix does not have the decomposition: it is singular, or not positive definite."""


class OutOfBoundsError(ElinvarError, IndexError):
    """An index points outside of its axis."""


class TraceError(ElinvarError, RuntimeError):
    """Python needs a value that a trace does not have."""


class LeakedTensorError(TraceError):
    """A traced tensor is used after its trace ended."""


class GradientError(ElinvarError, RuntimeError):
    """Backward or a transform cannot differentiate."""


class LostWriteError(ElinvarError, RuntimeError):
    """A write that nobody could ever see: into a slice that has no name."""


class ValueSemanticsWarning(UserWarning):
    """A write to a slice that another tensor does not see, though it would in PyTorch and NumPy."""


class StateError(ElinvarError, RuntimeError):
    """A state dict or a file of weights does not fit."""


class DataError(ElinvarError, ValueError):
    """A file of data is damaged, or not what it claims to be."""


class DataMissingError(DataError, FileNotFoundError):
    """A data set is nowhere to be had."""


class RemoteError(ElinvarError, ConnectionError):
    """A server does not answer, or refuses to.

    Attributes:
        status: the answer's status, such as 403; None if there was no answer.
        wait: seconds after which the server wants to be asked again; None if it did not say.
    """

    status: int | None = None
    wait: float | None = None


class ConfigError(ElinvarError, ValueError):
    """A configuration of a training run is not what it should be."""


class RunError(ElinvarError, RuntimeError):
    """The folder of a training run is damaged, in use, or not what is asked for."""


class BadValueError(ElinvarError, FloatingPointError):
    """An operation made a NaN (or an infinity) while `debug_nans` looked for it.

    Attributes:
        op: the operation's name.
        source: the user's line; None where there is none.
        module: the path of the module, such as `encoder.layers.3.attn`; empty outside of modules.
        indices: where bad values stand in the result, the first few.
    """

    op: str = ""
    source: source.Source | None = None
    module: str = ""
    indices: tuple[tuple[int, ...], ...] = ()


class CheckError(ElinvarError, AssertionError):
    """A check of `el.testing` failed."""


class BufferError_(ElinvarError, BufferError, ValueError, RuntimeError):
    """Memory was freed, donated or cannot be shared (or a copy is needed that was refused)."""


class GraphError(ElinvarError, RuntimeError):
    """A graph or its text is malformed."""


class CompileError(GraphError):
    """Lowering or LLVM refused a graph."""


def extended(error: ElinvarError, line: str) -> ElinvarError:
    """The same error with one more line in its text."""
    found = type(error)(f"{error}\n  {line}")
    found.__dict__.update(error.__dict__)
    return found


def message(
    op: str,
    text: str,
    hint: str | None = None,
    where: source.Source | None = None,
    module: str | None = None,
) -> str:
    """The text of an error: `[op] text`, the user's line, the module path, a hint.

    `module`: the path of the module, if it is not the one that is running.
    """
    lines = [f"[{op}] {text}"]
    where = where or source.user_source()
    if where is not None:
        lines.append(f"  at {where.describe()}")
    path = source.module_path() if module is None else module
    if path:
        lines.append(f"  in module {path}")
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)


def fail(
    kind: type[ElinvarError],
    op: str,
    text: str,
    hint: str | None = None,
    where: source.Source | None = None,
) -> NoReturn:
    """Raise `kind` with the message built by `message`."""
    raise kind(message(op, text, hint, where))
