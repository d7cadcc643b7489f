"""Operate → Changes: every change that somebody made, with its measured effect and its way back."""
