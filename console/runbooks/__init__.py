"""Runbooks: what to do about each alarm, with the actions that do it run from the page."""
