"""One process that starts all others, restarts what ends by itself, and stops everything within 15 s.

`manage.py serve` is its face. Children are sessions of their own, so Ctrl-C reaches only the supervisor, which
asks each of them to drain; and the kernel ends them with it, so kill -9 of the supervisor leaves none.
"""
