"""Clips made from clips: remixes, which take a finished clip's settings, and extensions, which take its last frame."""
