"""Operator pages: what waits and runs over all organizations, and the lanes that decide who goes next."""
