"""The simulator: an event loop over the production policy. Pure: the standard library and generation.policy alone.

Times are seconds from the beginning of the simulated span, GPU-time is milliseconds, money is micro-credits or
micro-dollars. Chance is an argument (`workloads.Chance`), so that one seed makes one run.
"""
