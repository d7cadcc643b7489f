"""Money under fire: client processes that are killed, a database that is stopped, and what must be left of it.

`python -m tests.faults.hammer` runs it by itself and prints one JSON object; tests/faults/test_hammer.py is how
`make faults` does.
"""
