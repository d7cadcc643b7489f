"""Links by which an owner shows a clip to people who have no account."""
