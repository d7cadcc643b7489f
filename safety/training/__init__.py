"""How the shipped text filter is made: `manage.py train_text_filter`."""
