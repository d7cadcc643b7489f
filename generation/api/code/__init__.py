"""Completions, chat and responses: three contracts over one way of asking and one way of streaming."""
