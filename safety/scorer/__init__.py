"""The scorer: a small process that turns texts into scores, so that no web process holds a model.

`client` and `wire` are what other processes import; they need the standard library only. Everything else here runs in
the scorer itself.
"""
