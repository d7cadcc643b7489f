"""What schemathesis calls before each request."""

from itertools import count

import schemathesis
from schemathesis.generation.meta import TestPhase

ASKING = "987654321000"  # the key that asks; its id is in the list of keys, from where it would be revoked or rotated
ONCE = "Idempotency-Key"
BY_CHANCE = (TestPhase.FUZZING, TestPhase.STATEFUL)  # elsewhere each header is what the case is about
_numbers = count(1)


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """The key that asks stays as it is, or all that follows is 401. Keys by which requests are made once come from the
    document's example again and again: most get a number, or nearly all that makes something is 409."""
    if str((case.path_parameters or {}).get("key_id")) == ASKING:
        case.path_parameters["key_id"] = 1
    given = (case.headers or {}).get(ONCE) if case.meta and case.meta.phase.name in BY_CHANCE else None
    number = next(_numbers)
    if given and number % 10 and 0 < len(given) < 200 and given.isascii() and given.isprintable():
        case.headers[ONCE] = f"{given}-{number}"
