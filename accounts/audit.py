"""The audit log: one row per change that a person or a part of the system made."""

from accounts.models import AuditEntry, Organization, User


def record(
    *,
    actor: User | str,
    action: str,
    target: str,
    reason: str,
    before: object,
    after: object,
    organization: Organization | None = None,
    undo: dict | None = None,
) -> AuditEntry:
    """Write an entry in the caller's transaction, so that it exists if and only if the change does.

    `actor` is a person, or the name of the part of the system that acted ("auto-raise rule"). `action` is
    dotted ("lane.weight"), `target` is "kind:id". `before` and `after` are JSON values, None where there is
    nothing; `undo` is what the action's `undo` will need, None where it can't be undone.
    """
    person = actor if isinstance(actor, User) else None
    return AuditEntry.objects.create(
        actor=person,
        actor_name=name_of(actor),
        action=action,
        target=target,
        reason=reason.strip(),
        before=before,
        after=after,
        organization=organization,
        undo=undo,
    )


def name_of(actor: User | str) -> str:
    """How an actor is written down: the e-mail address of a person, else the given name."""
    return actor.email if isinstance(actor, User) else actor
