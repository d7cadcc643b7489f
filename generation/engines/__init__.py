"""The models themselves. Plain values in and out: nothing here knows of Django or of the database.

`errors`, `facts` and `tokens` load no torch and may be used by a web process; `video` and `code` are for workers.
"""
