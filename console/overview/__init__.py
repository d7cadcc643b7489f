"""The overview of Operate: what happened per minute, rolled up so that "are we fine?" is answered at once."""
