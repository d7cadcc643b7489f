"""The arithmetic of the overview: histograms that merge, service levels with their budgets, spans of time. Pure."""
