"""The makers' pages: studio, job, code, history. Views are thin; what they read is in generation/history.py."""
