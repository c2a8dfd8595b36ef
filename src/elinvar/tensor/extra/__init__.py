"""What users of NumPy, PyTorch and JAX reach for beyond the standard; imported when first named."""
