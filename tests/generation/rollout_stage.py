"""Revisions in every status for tests, by the ways that the database leaves open: no gate, no service."""

import itertools

from django.db import transaction
from django.utils import timezone

from generation.models import Evaluation, RegisteredModel
from generation.revisions import rollout

_numbers = itertools.count(1)


def gate_run(model: RegisteredModel, passed: bool = True, **fields) -> Evaluation:
    """A deploy gate as it would be written; nothing was run."""
    values = {
        "suite": Evaluation.Suite.DEPLOY,
        "suite_version": 1,
        "precision": model.precision,
        "seed": 1,
        "count": 1,
        "figures": {"finite": 1.0 if passed else 0.5},
        "floors": {"finite": 1.0},
        "passed": passed,
        "seconds": 0.1,
        "code_version": "test",
        "author": "a test",
    }
    return Evaluation.objects.create(model=model, **values | fields)


def promote_shipped() -> None:
    """The two shipped models are active."""
    for model in RegisteredModel.objects.filter(status="candidate"):
        serve(model)


def serve(model: RegisteredModel) -> RegisteredModel:
    """Make a candidate the active revision."""
    gate_run(model)
    with transaction.atomic():
        rollout.activate(model.pk, timezone.now())
    model.refresh_from_db()
    return model


def candidate(name: str = "pocket-video", **fields) -> RegisteredModel:
    """Another revision of a model, with all that its newest has."""
    like = RegisteredModel.objects.filter(name=name).order_by("-pk").first()
    values = {
        field.name: getattr(like, field.name)
        for field in RegisteredModel._meta.concrete_fields
        if field.name not in ("id", "created_at", "status", "revision")
    }
    return RegisteredModel.objects.create(revision=f"test-{next(_numbers)}", **values | fields)
