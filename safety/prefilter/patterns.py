"""Rules typed by operators are compiled with RE2: matching takes linear time, whatever the pattern."""

import re2

MAX_PATTERN = 4000


class BadPattern(ValueError):
    """The pattern can't be used; the message says why, in RE2's words."""


def options() -> re2.Options:
    chosen = re2.Options()
    chosen.case_sensitive = False
    chosen.log_errors = False  # told to the operator instead
    chosen.dot_nl = True
    chosen.max_mem = 64 << 20  # of one compiled pattern; a text that needs more is matched slower, not less
    return chosen


def compile_pattern(pattern: str, longest: int | None = MAX_PATTERN):
    """A compiled RE2 pattern that ignores case; raises BadPattern. `longest` None: any length."""
    if not pattern.strip():
        raise BadPattern("The pattern is empty: it would match every text.")
    if longest is not None and len(pattern) > longest:
        raise BadPattern(f"The pattern has {len(pattern)} characters; {longest} is the most.")
    try:
        compiled = re2.compile(pattern, options=options())
    except re2.error as error:
        raise BadPattern(f"RE2 can't read this pattern: {words(error)}.") from error
    if compiled.search("") is not None:
        raise BadPattern("The pattern matches an empty text, so it would refuse every request.")
    return compiled


def words(error: re2.error) -> str:
    """RE2 raises with bytes; operators read text."""
    reason = error.args[0] if error.args else str(error)
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
