"""The rules of incidents, without a database or a clock: order, severity, states, cost, times to repair."""
