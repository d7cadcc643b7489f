"""Whether a text is Python."""

import ast
import warnings


def wrong_line(text: str) -> int | None:
    """None where `text` parses; else the line, from 1, that no beginning of it can hold and parse."""
    last = text.count("\n") + 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python frowns upon is valid
            ast.parse(text)
    except SyntaxError as error:
        # Inside an f-string lines count from its own beginning, so they say nothing here.
        return last if not error.lineno or error.filename == "<fstring>" else error.lineno
    except (ValueError, RecursionError, MemoryError):  # a NUL; nested deeper than the parser goes
        return last
    return None
