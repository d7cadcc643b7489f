"""Evaluations of models: prompts with a judge, and the deploy gate that every revision passes before it serves."""
