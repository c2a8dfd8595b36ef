"""What a model is, apart from any framework: its parameters' shapes and its floating-point work.

Counted are the multiplications and additions of products and convolutions (2 · m · n · k); a
convolution leaves out the part of its kernel that lies on the padding, causal attention all but the
lower triangle. Elementwise work and normalization are left out. The backward pass does each product
twice more, but the first layer needs no gradient of its input.
"""

from __future__ import annotations

from typing import Any

from benchmarks.sizes import SIZES


def taps(pixels: int, kernel: int, stride: int) -> int:
    """How often, along one axis, an element of the kernel meets a pixel that is no padding.

    A kernel larger than its stride is padded by half of its size, any other one not at all.

    Example:
        >>> taps(4, 3, 1), taps(4, 1, 2), taps(8, 4, 4)
        (10, 2, 8)
    """
    padding = kernel // 2 if kernel > stride else 0
    count = (pixels + 2 * padding - kernel) // stride + 1
    return sum(
        0 <= place * stride + offset - padding < pixels
        for place in range(count)
        for offset in range(kernel)
    )


class Plan:
    """Collects layers.

    Attributes:
        parameters: name → shape, with PyTorch's names.
        buffers: name → shape of what batch normalization keeps.
        forward, training: floating-point operations of one batch.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.buffers: dict[str, tuple[int, ...]] = {}
        self.forward = 0
        self.training = 0

    @property
    def count(self) -> int:
        """The number of parameters' elements."""
        total = 0
        for shape in self.parameters.values():
            elements = 1
            for extent in shape:
                elements *= extent
            total += elements
        return total

    def work(self, flops: int, first: bool = False) -> None:
        """Count a product."""
        self.forward += flops
        self.training += flops * (2 if first else 3)

    def linear(
        self,
        name: str,
        rows: int,
        inputs: int,
        outputs: int,
        bias: bool = True,
        first: bool = False,
    ) -> None:
        """`rows` vectors times a matrix."""
        self.parameters[f"{name}.weight"] = (outputs, inputs)
        if bias:
            self.parameters[f"{name}.bias"] = (outputs,)
        self.work(2 * rows * inputs * outputs, first)

    def convolution(
        self, name: str, batch: int, pixels: int, inputs: int, outputs: int, kernel: int,
        stride: int = 1, bias: bool = False, first: bool = False,
    ) -> None:  # fmt: skip
        """A convolution over square pictures; kernels larger than their stride are padded."""
        self.parameters[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        if bias:
            self.parameters[f"{name}.bias"] = (outputs,)
        self.work(2 * batch * taps(pixels, kernel, stride) ** 2 * inputs * outputs, first)

    def norm(self, name: str, width: int, batch: bool = False) -> None:
        """Layer or batch normalization."""
        self.parameters[f"{name}.weight"] = self.parameters[f"{name}.bias"] = (width,)
        if batch:
            self.buffers[f"{name}.running_mean"] = self.buffers[f"{name}.running_var"] = (width,)

    def block(
        self, name: str, batch: int, length: int, width: int, heads: int, causal: bool
    ) -> None:
        """A transformer block."""
        rows = batch * length
        self.norm(f"{name}.attention_norm", width)
        self.linear(f"{name}.to_qkv", rows, width, 3 * width)
        pairs = length * (length + 1) // 2 if causal else length * length
        self.work(2 * 2 * batch * heads * pairs * (width // heads))  # scores, mixture
        self.linear(f"{name}.from_heads", rows, width, width)
        self.norm(f"{name}.mlp_norm", width)
        self.linear(f"{name}.up", rows, width, 4 * width)
        self.linear(f"{name}.down", rows, 4 * width, width)


def _mlp(plan: Plan, size: Any) -> None:
    plan.linear("0", size.batch, size.inputs, size.hidden, first=True)
    plan.linear("2", size.batch, size.hidden, size.hidden)
    plan.linear("4", size.batch, size.hidden, size.classes)


def _cnn(plan: Plan, size: Any) -> None:
    plan.convolution("0", size.batch, 28, 1, 16, 3, bias=True, first=True)
    plan.norm("2", 16, batch=True)
    plan.convolution("4", size.batch, 14, 16, 32, 3, bias=True)
    plan.norm("6", 32, batch=True)
    plan.linear("9", size.batch, 32 * 7 * 7, 128)
    plan.linear("11", size.batch, 128, size.classes)


def _resnet(plan: Plan, size: Any) -> None:
    pixels, inputs = size.pixels, size.width
    plan.convolution("stem", size.batch, pixels, 3, size.width, 3, first=True)
    plan.norm("norm", size.width, batch=True)
    for stage in range(4):
        outputs = size.width * 2**stage
        for number in range(2):
            stride = 2 if stage and number == 0 else 1
            name, batch = f"blocks.{2 * stage + number}", size.batch
            plan.convolution(f"{name}.conv1", batch, pixels, inputs, outputs, 3, stride)
            plan.norm(f"{name}.norm1", outputs, batch=True)
            if stride == 2:
                plan.convolution(f"{name}.shortcut.0", batch, pixels, inputs, outputs, 1, stride)
                plan.norm(f"{name}.shortcut.1", outputs, batch=True)
                pixels = -(-pixels // 2)
            plan.convolution(f"{name}.conv2", batch, pixels, outputs, outputs, 3)
            plan.norm(f"{name}.norm2", outputs, batch=True)
            inputs = outputs
    plan.linear("head", size.batch, inputs, size.classes)


def _gpt(plan: Plan, size: Any) -> None:
    plan.parameters["token.weight"] = (size.vocabulary, size.width)
    plan.parameters["position.weight"] = (size.length, size.width)
    for layer in range(size.layers):
        plan.block(f"blocks.{layer}", size.batch, size.length, size.width, size.heads, True)
    plan.norm("norm", size.width)
    plan.linear("head", size.batch * size.length, size.width, size.vocabulary, bias=False)


def _lstm(plan: Plan, size: Any) -> None:
    plan.parameters["token.weight"] = (size.vocabulary, size.width)
    rows = size.batch * size.length
    for layer in range(size.layers):
        for part in ("ih", "hh"):
            plan.parameters[f"lstm.weight_{part}_l{layer}"] = (4 * size.width, size.width)
            plan.work(2 * rows * size.width * 4 * size.width)
        for part in ("ih", "hh"):
            plan.parameters[f"lstm.bias_{part}_l{layer}"] = (4 * size.width,)
    plan.linear("head", rows, size.width, size.vocabulary)


def _vit(plan: Plan, size: Any) -> None:
    patches = (size.pixels // size.patch) ** 2
    plan.convolution(
        "patch", size.batch, size.pixels, 3, size.width, size.patch, size.patch, bias=True,
        first=True,
    )  # fmt: skip
    plan.parameters["class_token"] = (1, 1, size.width)
    plan.parameters["position"] = (1, patches + 1, size.width)
    for layer in range(size.layers):
        plan.block(f"blocks.{layer}", size.batch, patches + 1, size.width, size.heads, False)
    plan.norm("norm", size.width)
    plan.linear("head", size.batch, size.width, size.classes)


def _unet(plan: Plan, size: Any) -> None:
    def double(name: str, pixels: int, inputs: int, outputs: int, first: bool = False) -> None:
        plan.convolution(f"{name}.0", size.batch, pixels, inputs, outputs, 3, first=first)
        plan.norm(f"{name}.1", outputs, batch=True)
        plan.convolution(f"{name}.3", size.batch, pixels, outputs, outputs, 3)
        plan.norm(f"{name}.4", outputs, batch=True)

    width = size.width
    pixels = [size.pixels // 2**level for level in range(4)]
    double("down0", pixels[0], 3, width, first=True)
    double("down1", pixels[1], width, 2 * width)
    double("down2", pixels[2], 2 * width, 4 * width)
    double("bottom", pixels[3], 4 * width, 8 * width)
    for level in (2, 1, 0):
        inner = width * 2**level
        # Each pixel of the coarse level makes four of the fine one: one product for each of them.
        plan.parameters[f"up{level}.weight"] = (2 * inner, inner, 2, 2)
        plan.parameters[f"up{level}.bias"] = (inner,)
        plan.work(2 * size.batch * pixels[level] ** 2 * 2 * inner * inner)
        double(f"join{level}", pixels[level], 2 * inner, inner)
    plan.convolution("head", size.batch, pixels[0], width, size.classes, 1, bias=True)


_PLANS = {
    "mlp": _mlp, "cnn": _cnn, "resnet": _resnet, "gpt": _gpt,
    "lstm": _lstm, "vit": _vit, "unet": _unet,
}  # fmt: skip


def plan_of(model: str, size: Any = None) -> Plan:
    """The plan of a model.

    Args:
        model: a key of `SIZES`.
        size: its size; the default one unless told.
    """
    plan = Plan()
    _PLANS[model](plan, SIZES[model]() if size is None else size)
    return plan
