"""What a fleet costs: the sandbox, the clip, the bad days. Pure; money is whole micro-dollars or exact fractions."""
