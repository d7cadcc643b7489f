"""How long the files of delivered clips are kept, and how they go: by time or by their owner's word."""
