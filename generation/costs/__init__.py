"""What this deployment's devices cost: their prices over time, and what attempts took, wasted and saved."""
