"""The command palette: every place, action and piece of work that a person may open, found by a word or an id."""
