"""Module: a tree of parameters, buffers and modules with a forward function.

    class Net(el.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = el.nn.Linear(8, 2)

        def forward(self, x):
            return self.head(x)

What is assigned decides what it becomes: a `Parameter` is trained, a `Buffer` is kept (running
statistics), a `Module` is a child. All three stay ordinary attributes, found at a dict lookup's
cost; `_members` says which names are which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

from elinvar.core import dtypes
from elinvar.core.dtypes import DType
from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.habits import attribute
from elinvar.core.source import running_modules
from elinvar.nn import state, summary
from elinvar.nn.hooks import Hooks, RemovableHandle
from elinvar.nn.parameter import Buffer, Parameter, set_value
from elinvar.tensor import trace
from elinvar.tensor.creation import check_device, dtype_of_target, zeros_like
from elinvar.tensor.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """What makes a module callable: a call takes what `forward` takes and gives what it gives."""

    _hooks: Hooks | None

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"


class Module:
    """The base of all layers and models.

    Attributes:
        training: True after `train()` and at first, False after `eval()`. A jitted function that
            reads it is traced anew when it changes.

    Example:
        >>> import elinvar as el
        >>> class Net(el.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.head = el.nn.Linear(8, 2)
        ...     def forward(self, x):
        ...         return self.head(x).relu()
        >>> net = Net()
        >>> net(el.ones((4, 8))).shape
        (4, 2)
        >>> [name for name, _ in net.named_parameters()]
        ['head.weight', 'head.bias']
    """

    if TYPE_CHECKING:  # parameters, buffers and children are attributes by assignment

        def __getattr__(self, name: str) -> Any: ...
    else:

        def __getattr__(self, name):
            return attribute(self, "Module object", name)

    _members: dict[str, str]
    _transient: set[str]
    _training: bool
    _hooks: Hooks | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        values = self.__dict__
        values["_members"] = {}
        values["_transient"] = set()  # names of buffers that the state dict leaves out
        values["_training"] = True
        values["_hooks"] = None
        return self

    def __call__(self: HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        stack = running_modules.stack
        stack.append(self)
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.run(self, args, kwargs)
        finally:
            stack.pop()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        fail(
            ValueRangeError,
            type(self).__name__,
            "the module has no forward function",
            f"write `def forward(self, ...)` in class {type(self).__name__}",
        )

    # ---- members ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        members = self._members
        if isinstance(value, Parameter):
            members[name] = PARAMETER
        elif isinstance(value, Module):
            members[name] = MODULE
        elif isinstance(value, Buffer):
            members[name] = BUFFER
            if not value.persistent:
                self._transient.add(name)
        elif name in members:
            self._check_replacement(name, value)
        object.__setattr__(self, name, value)

    def _check_replacement(self, name: str, value: Any) -> None:
        kind = self._members[name]
        if value is None or (kind == BUFFER and isinstance(value, Tensor)):
            return
        wanted = {PARAMETER: "el.nn.Parameter", BUFFER: "a Tensor", MODULE: "el.nn.Module"}[kind]
        fail(
            DTypeError,
            type(self).__name__,
            f"cannot assign {type(value).__name__} to the {kind} {name!r}: "
            f"expected {wanted} or None",
            f"to change a parameter's values write `module.{name}.assign(...)`"
            if kind == PARAMETER
            else None,
        )

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._members.pop(name, None)
        self._transient.discard(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None reserves the name (as for `bias=False`)."""
        self._register(name, param, PARAMETER)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not trained.

        Args:
            name: the attribute's name.
            tensor: the value, or None to reserve the name.
            persistent: whether `state_dict` holds it.
        """
        self._register(name, tensor, BUFFER)
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`."""
        self._register(name, module, MODULE)

    add_module = register_module

    def _register(self, name: str, value: Any, kind: str) -> None:
        owner = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            text = f"a {kind}'s name must be a non-empty string without dots, received {name!r}"
            fail(ValueRangeError, owner, text)
        if name in self._members:
            pass
        elif name in self.__dict__ or hasattr(type(self), name):
            fail(ValueRangeError, owner, f"the attribute {name!r} exists already")
        accepted = {PARAMETER: Parameter, BUFFER: Tensor, MODULE: Module}[kind]
        if value is not None and not isinstance(value, accepted):
            text = f"{kind} {name!r} must be a {accepted.__name__} or None"
            fail(DTypeError, owner, f"{text}, received {type(value).__name__}")
        self._members[name] = kind
        object.__setattr__(self, name, value)

    def _own(self, kind: str) -> Iterator[tuple[str, Any]]:
        values = self.__dict__
        for name, found in tuple(self._members.items()):
            if found == kind and values[name] is not None:
                yield name, values[name]

    @property
    def _parameters(self) -> dict[str, Parameter | None]:
        """This module's own parameters by name (a copy; PyTorch's spelling)."""
        return {n: self.__dict__[n] for n, kind in self._members.items() if kind == PARAMETER}

    @property
    def _buffers(self) -> dict[str, Tensor | None]:
        """This module's own buffers by name (a copy; PyTorch's spelling)."""
        return {n: self.__dict__[n] for n, kind in self._members.items() if kind == BUFFER}

    @property
    def _modules(self) -> dict[str, Module | None]:
        """The children by name (a copy; PyTorch's spelling)."""
        return {n: self.__dict__[n] for n, kind in self._members.items() if kind == MODULE}

    # ---- walking the tree ---------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Name and module of each child, each module once."""
        seen: set[int] = set()
        for name, child in self._own(MODULE):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The child modules."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Path and module of the whole tree, this module first under the path `prefix`."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if id(self) in memo:
                return
            memo.add(id(self))
        yield prefix, self
        for name, child in self._own(MODULE):
            path = f"{prefix}.{name}" if prefix else name
            yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """All modules of the tree, this one first."""
        return (module for _, module in self.named_modules())

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in modules if recurse else [(prefix, self)]:
            for name, value in module._own(kind):
                if remove_duplicate:
                    if id(value) in seen:
                        continue
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Path and parameter, in the order of definition; a shared parameter appears once."""
        return self._named(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Path and buffer, persistent or not."""
        return self._named(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (value for _, value in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path, as in `encoder.layers.3`."""
        found = self._get(target)
        if not isinstance(found, Module):
            fail(ValueRangeError, type(self).__name__, f"{target!r} is not a module")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path, as in `encoder.layers.3.weight`."""
        found = self._get(target)
        if not isinstance(found, Parameter):
            fail(ValueRangeError, type(self).__name__, f"{target!r} is not a parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        found = self._get(target)
        if not isinstance(found, Tensor) or isinstance(found, Parameter):
            fail(ValueRangeError, type(self).__name__, f"{target!r} is not a buffer")
        return found

    def _get(self, target: str) -> Any:
        value: Any = self
        for name in target.split(".") if target else ():
            if not isinstance(value, Module) or name not in value._members:
                known = ", ".join(getattr(value, "_members", ())) or "nothing"
                text = f"{target!r} has no part {name!r}; known there: {known}"
                fail(ValueRangeError, type(self).__name__, text)
            value = value.__dict__[name]
        return value

    def path_to(self, module: Module) -> str:
        """The dotted path of a module in this tree, or its class in angle brackets."""
        for path, found in self.named_modules():
            if found is module:
                return path
        return f"<{type(module).__name__}>"

    # ---- modes and conversions ----------------------------------------------------------------

    @property
    def training(self) -> bool:
        """True in training, False in evaluation. A trace that reads it depends on it."""
        value = self._training
        if trace.is_tracing():
            trace.note_guard(self, "_training", value)
        return value

    @training.setter
    def training(self, mode: bool) -> None:
        self.__dict__["_training"] = bool(mode)

    def train(self, mode: bool = True) -> Self:
        """Set the whole tree to training (or evaluation), which dropout and batch norm ask for."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set the whole tree to evaluation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch gradients of all parameters on or off."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None  # without a look at it, on which a trace would depend
            elif parameter.grad is not None:
                parameter.grad = zeros_like(parameter.grad)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, dtype: Any = None, *, device: Any = None) -> Self:
        """Convert floating parameters and buffers to `dtype`, in place.

        Integer buffers keep their type. The device `"cpu"` is accepted and changes nothing.
        """
        check_device("Module.to", device)
        if dtype is None:
            return self
        wanted = (
            dtype.dtype if isinstance(dtype, Tensor) else dtype_of_target("Module.to", dtype)
        )
        if wanted is None:
            return self
        if not wanted.is_floating:
            fail(
                DTypeError,
                "Module.to",
                f"parameters need a floating dtype, received {wanted.name}",
            )
        return self._convert(wanted)

    def cpu(self) -> Self:
        """The module itself: it lives on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Refused: modules live on the CPU."""
        text = "no CUDA device is available"
        fail(ValueRangeError, "Module.cuda", text, "leave the call out; modules live on 'cpu'")

    def _convert(self, wanted: DType) -> Self:
        for cell in (*self.parameters(), *self.buffers()):
            if cell.dtype.is_floating and cell.dtype is not wanted:
                set_value(cell, cell.detach().astype(wanted))
                if cell.grad is not None:
                    cell.grad = cell.grad.detach().astype(wanted)
        return self

    def float(self) -> Self:
        """Convert floating parameters and buffers to float32."""
        return self._convert(dtypes.float32)

    def double(self) -> Self:
        """Convert floating parameters and buffers to float64."""
        return self._convert(dtypes.float64)

    def half(self) -> Self:
        """Convert floating parameters and buffers to float16."""
        return self._convert(dtypes.float16)

    def bfloat16(self) -> Self:
        """Convert floating parameters and buffers to bfloat16."""
        return self._convert(dtypes.bfloat16)

    # ---- state --------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Path → value of all parameters and persistent buffers, in PyTorch's order and names.

        The values are snapshots: later training does not change them.
        """
        return state.collect(self, prefix)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> state.IncompatibleKeys:
        """Set parameters and buffers from a state dict (Tensors or arrays), casting dtypes.

        Nothing is changed unless everything fits.

        Args:
            state_dict: path → value.
            strict: refuse missing and unexpected names; otherwise they are returned.

        Returns:
            `(missing_keys, unexpected_keys)`.

        Raises:
            StateError: names are missing or unexpected (strict), or shapes differ. The message
                lists all of them.
        """
        return state.load(self, state_dict, strict)

    # ---- hooks --------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments."""
        hooks = self._with_hooks().before
        return RemovableHandle(hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output."""
        hooks = self._with_hooks().after
        return RemovableHandle(hooks, (hook, with_kwargs), prepend)

    def _with_hooks(self) -> Hooks:
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        assert self._hooks is not None
        return self._hooks

    # ---- printing -----------------------------------------------------------------------------

    def summary(self, *inputs: Any, dtype: Any = None, depth: int | None = None) -> summary.Summary:
        """A table of the modules: shapes, numbers of parameters and bytes.

        Args:
            inputs: tensors, or shapes (then zeros are used) for one dry forward in evaluation
                mode; without them the table has no shapes.
            dtype: of the zeros made for shapes; float32 unless told.
            depth: how many levels to show; all unless told.
        """
        return summary.summarize(self, inputs, dtype, depth)

    def extra_repr(self) -> str:
        """What stands between the brackets of the printed module."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {indented(repr(child))}" for name, child in self._modules.items()]
        extra = self.extra_repr()
        head = type(self).__name__
        if not lines:
            return f"{head}({indented(extra)})"
        body = ([*extra.split("\n")] if extra else []) + lines
        return f"{head}(\n  " + "\n  ".join(body) + "\n)"


def indented(text: str) -> str:
    """The text with all lines but the first moved in by two spaces."""
    return text.replace("\n", "\n  ")
