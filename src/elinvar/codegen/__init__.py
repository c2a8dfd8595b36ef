"""Floor 6: loops to LLVM, graphs to StableHLO, and the numpy interpreter (the slow truth)."""
