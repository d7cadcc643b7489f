"""The actions that a runbook offers in place: what each one asks for, and what it shows before it is applied."""
