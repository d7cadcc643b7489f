"""The runbooks themselves, one per alarm."""
