"""How a policy row keeps its history: one declaration for every table of policies."""

import pghistory


def history(*exclude: str):
    """Every insert, update and delete of the row is kept beside it, by trigger."""
    return pghistory.track(
        pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent(), exclude=list(exclude)
    )
