"""Measurements: `python -m bench [NAME]`, one JSON object a line. Each module here with a `measure(run)` is one."""
