"""`make screens`: pictures of every page, light and dark, at a desk and on a phone, into docs/screens.

What they show is real: clips and a completion made by the shipped models, a purchase, a backlog in every lane, a weight
changed, from a Backlot of its own.
"""
