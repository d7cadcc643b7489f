"""What schemathesis calls before each request."""

import schemathesis

ASKING = "987654321000"  # the key that asks; its id is in the list of keys, from where it would be revoked or rotated


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """The key that asks stays as it is, or all that follows is 401."""
    if str((case.path_parameters or {}).get("key_id")) == ASKING:
        case.path_parameters["key_id"] = 1
