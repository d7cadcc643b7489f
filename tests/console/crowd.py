"""Many rows where there was one, for tests that count queries: copies past every trigger, not books that add up."""

import copy
import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, models

from accounts.models import ApiKey, AuditEntry, Membership, Organization, User
from billing.models import (
    Budget,
    Charge,
    Decision,
    Entry,
    Hold,
    HoldPart,
    Notice,
    Payment,
    Refund,
    Transaction,
    UsageEvent,
)
from generation.models import Asset, Attempt, Job, JobEvent

_numbers = itertools.count(10**9)  # far from what sequences hand out in these tests
# In the order of their references.
CHAIN = (
    Payment,
    Decision,
    Hold,
    HoldPart,
    UsageEvent,
    Charge,
    Transaction,
    Entry,
    Refund,
    Job,
    JobEvent,
    Attempt,
    Asset,
)
# Columns that are unique within an organization, a provider or a folder.
FRESH = ("idempotency_key", "provider_id", "provider_payment_id", "provider_refund_id", "path")


def rows_of(organization: Organization, model: type[models.Model]) -> list[models.Model]:
    """The organization's rows of a model of the chain."""
    ways = {
        HoldPart: "hold__organization",
        Entry: "transaction__organization",
        Refund: "payment__organization",
        JobEvent: "job__organization",
        Attempt: "job__organization",
        Asset: "job__organization",
    }
    return list(model.objects.filter(**{ways.get(model, "organization"): organization}).order_by("pk"))


def crowd(organization: Organization, times: int) -> None:
    """So many copies of all the work, money and papers of an organization, each with its own references."""
    originals = {model: rows_of(organization, model) for model in CHAIN}
    made: dict[type[models.Model], list] = {model: [] for model in CHAIN}
    for _ in range(times):
        names: dict[tuple, object] = {}
        for model in CHAIN:
            made[model] += [_copy(row, names) for row in originals[model]]
    with past_triggers():
        for model in CHAIN:
            model.objects.bulk_create(made[model])


def company(organization: Organization, times: int) -> None:
    """So many further members and keys, each with a budget; notices and lines of the audit log."""
    people = [User(email=f"crowd-{next(_numbers)}@example.com") for _ in range(times)]
    User.objects.bulk_create(people)
    with past_triggers():
        Membership.objects.bulk_create(
            Membership(organization=organization, user=one, role="member") for one in people
        )
        held = [_key(organization, number) for number in range(times)]
        ApiKey.objects.bulk_create(held)
        about = {"organization": organization, "amount_micro": 10**9}
        Budget.objects.bulk_create(Budget(scope="member", user=one, **about) for one in people)
        Budget.objects.bulk_create(Budget(scope="key", api_key=one, **about) for one in held)
        Notice.objects.bulk_create(
            Notice(
                organization=organization, kind="budget_alert", key=f"crowd-{next(_numbers)}", message="told"
            )
            for _ in range(times)
        )
        told = {"action": "budget.set", "target": "budget:1", "reason": "test", "actor_name": "test"}
        AuditEntry.objects.bulk_create(
            AuditEntry(organization=organization, actor=one, **told) for one in people
        )


def _key(organization: Organization, number: int) -> ApiKey:
    digest = f"{next(_numbers):064x}"
    return ApiKey(
        organization=organization, name=f"crowd {number}", prefix="bk_crow", last_four="crow", digest=digest,
        scopes=["read"],
    )  # fmt: skip


@contextmanager
def past_triggers() -> Iterator[None]:
    """Rows go in past triggers and references, as a restore would put them; in a database transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        cursor.execute("ANALYZE")  # the server would look by itself, but not before these rows are asked for


def _copy(row: models.Model, names: dict[tuple, object]) -> models.Model:
    """`names` are the keys and subjects of this round: what referred to an original refers to its copy."""
    one = copy.copy(row)
    one._state = copy.copy(row._state)
    one._state.adding, one._state.fields_cache = True, {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key:
            setattr(one, field.attname, _new_key(type(row), value, names))
        elif field.remote_field is not None:
            setattr(one, field.attname, names.get((field.remote_field.model, value), value))
        elif field.name == "subject":  # the id of the job that is still to be copied
            setattr(one, field.attname, names.setdefault((Job, value), str(uuid.uuid4())))
        elif field.name in FRESH and value:
            setattr(one, field.attname, f"crowd-{next(_numbers)}")
        elif field.name == "fence" and isinstance(row, Attempt):
            setattr(one, field.attname, next(_numbers))
    return one


def _new_key(model: type[models.Model], value: object, names: dict[tuple, object]) -> object:
    if not isinstance(value, uuid.UUID):
        fresh: object = next(_numbers)
    else:
        fresh = uuid.UUID(names.get((model, str(value)), str(uuid.uuid4())))
    names[(model, value)] = fresh
    return fresh
