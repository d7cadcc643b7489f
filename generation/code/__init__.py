"""What code requests ask for, in whichever dialect, and what is done with an answer that ended early."""
