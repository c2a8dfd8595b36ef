"""Which names of the top level live in this folder: `elinvar` imports their modules when named."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "arithmetic": """angle around array_equal array_equiv cbrt deg2rad divmod exp2 float_power fmax
        fmin fmod frexp gcd heaviside isneginf isposinf isreal lcm ldexp logaddexp2 modf nan_to_num
        rad2deg sinc unwrap""",
    "bits": "packbits unpackbits",
    "dynamic": """dynamic_index_in_dim dynamic_slice dynamic_slice_in_dim dynamic_update_slice
        dynamic_update_slice_in_dim""",
    "missing": """nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd
        nansum nanvar""",
    "mapping": "apply_along_axis vectorize",
    "numeric": """convolve correlate cross ediff1d geomspace gradient inner interp kron logspace
        polyadd polyder polyint polymul polyval trapezoid vander vdot""",
    "padding": "pad",
    "picking": """argwhere choose compress diag_indices extract flatnonzero fromfunction indices ix_
        mgrid ogrid piecewise place put put_along_axis ravel_multi_index select tri tril_indices
        tril_indices_from triu_indices triu_indices_from unravel_index""",
    "quantiles": "median nanmedian nanpercentile nanquantile percentile quantile",
    "segments": "segment_max segment_mean segment_min segment_prod segment_sum",
    "sets": """argpartition intersect1d lexsort partition setdiff1d setxor1d union1d unique""",
    "shaping": """append apply_over_axes array_split atleast_1d atleast_2d atleast_3d block
        column_stack delete diag diagflat diagonal dsplit dstack fill_diagonal fliplr flipud hsplit
        hstack insert isscalar ravel resize rot90 sliding_window_view swapaxes trace transpose
        trim_zeros vsplit vstack""",
    "statistics": """average bincount corrcoef cov cumlogsumexp cummax cummin cumprod cumsum
        digitize histogram histogram2d histogram_bin_edges histogramdd logcumsumexp ptp""",
    "windows": "bartlett blackman hamming hanning kaiser",
}

PLACES: dict[str, str] = {
    name: f"elinvar.tensor.extra.{module}"
    for module, names in NAMES.items()
    for name in names.split()
}
