"""What `tools/type_stubs.py` is made of: words, functions, the Tensor, modules, primitives."""
