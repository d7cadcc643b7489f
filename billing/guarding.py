"""What the triggers of billing are made of."""

import pgtrigger


def refusing(name: str, operation: pgtrigger.Operation, func: str, **options: object) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(name=name, operation=operation, func=func, **options)


def deferred(name: str, operation: pgtrigger.Operation, func: str, **options: object) -> pgtrigger.Trigger:
    return refusing(
        name, operation, func, when=pgtrigger.After, timing=pgtrigger.Deferred, level=pgtrigger.Row, **options
    )


def kept() -> list[pgtrigger.Trigger]:
    """Rows that may change in a few columns but are never deleted."""
    return [
        pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        refusing(
            "no_truncate",
            pgtrigger.Truncate,
            "RAISE EXCEPTION 'table % is never truncated', TG_TABLE_NAME;",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
        ),
    ]
