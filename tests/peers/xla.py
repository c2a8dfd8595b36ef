"""XLA's parser and CPU client by way of jaxlib alone, for tests. One file, as jaxlib is private."""


from functools import cache
from types import SimpleNamespace

import ml_dtypes
import numpy as np
from jaxlib import xla_client
from jaxlib.mlir import ir
from jaxlib.mlir._mlir_libs import _jax_mlir_ext
from jaxlib.mlir.dialects import stablehlo


@cache
def context():
    """An MLIR context that knows StableHLO and functions."""
    made = ir.Context()
    registry = ir.DialectRegistry()
    _jax_mlir_ext.register_dialects(registry)
    made.append_dialect_registry(registry)
    stablehlo.register_dialect(made)
    made.load_all_available_dialects()
    return made


def parse(text):
    """Parse and verify a module; raises with MLIR's message."""
    with context():
        module = ir.Module.parse(text)
        module.operation.verify()
        return str(module)


@cache
def client():
    return xla_client.make_cpu_client(asynchronous=False)


def run(text, arrays):
    """Compile a module and run it on numpy arrays; returns numpy arrays."""
    device = client().local_devices()[0]
    devices = xla_client.DeviceList((device,))
    options = xla_client.CompileOptions()
    debug = options.executable_build_options.debug_options
    debug.xla_backend_optimization_level = 0  # quick to compile
    debug.xla_llvm_disable_expensive_passes = True
    executable = client().compile_and_load(text, devices, options)
    sharding = xla_client.GSPMDSharding(devices, xla_client.HloSharding.replicate())
    buffers = []
    for array in arrays:
        array = np.asarray(array)
        kind = SimpleNamespace(shape=array.shape, dtype=array.dtype, weak_type=False)
        semantics = xla_client.HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL
        buffers.append(
            xla_client.batched_device_put(
                kind, sharding, [array], [device], committed=True, force_copy=True,
                host_buffer_semantics=semantics, enable_x64=True,
            )
        )  # fmt: skip
    shards = executable.execute_sharded(buffers).disassemble_into_single_device_arrays()
    return [np.array(one[0]._single_device_array_to_np_array_did_copy()[0]) for one in shards]


def stored(array, dtype):
    """A reference array (bfloat16 as float32) as XLA takes it."""
    name = ml_dtypes.bfloat16 if dtype.name == "bfloat16" else dtype.name
    return np.asarray(array).astype(name)


def shown(array):
    """The inverse of `stored`."""
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array


def flushed(array):
    """Subnormal numbers as zeros, as XLA's CPU code treats them."""
    array = np.asarray(array)
    if array.dtype.kind != "f" or array.dtype == np.float16:
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, np.copysign(0, array), array)
