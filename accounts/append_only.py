"""Tables whose rows are written once: the database refuses to change, delete or truncate them."""

import pgtrigger


def append_only() -> list[pgtrigger.Trigger]:
    """The triggers of an append-only model; put them into `Meta.triggers`."""
    return [
        pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        # A row trigger never fires for TRUNCATE, which would otherwise empty the table without a word.
        pgtrigger.Trigger(
            name="no_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            func="RAISE EXCEPTION 'Cannot truncate the append-only table %', TG_TABLE_NAME;",
        ),
    ]
