"""A real job every five minutes in every pool, by an organization of Backlot's own: whether the whole way works, also
while nobody asks for anything.

It goes through admission, its lane, a worker, the gates and the signer as a customer's does, one clip of the smallest
size or one short completion. The organization pays with its tier's included allowance, so nobody is billed; `source`
marks its jobs, which customers' figures leave out. The alarm is over how long ago the oldest try since a pool's last
success is, so one failure alone pages nobody.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts import operations, organizations
from accounts.errors import ApiError
from accounts.identity import ROLE_SCOPES, Caller
from accounts.models import Membership, Organization, User
from generation import admission
from generation.late_clips import SYNTHETIC
from generation.models import OPEN_STATES, Job, Kind, Pool, RegisteredModel
from generation.revisions.model_facts import FactsInvalid
from generation.rounds import is_mine
from generation.scheduling import pool_settings

logger = logging.getLogger(__name__)

ORGANIZATION, NAME, TIER = organizations.OWN, "Backlot synthetic jobs", "pro"
OWNER = "synthetic-jobs@backlot.invalid"
EVERY = timedelta(minutes=5)
PROMPT, CODE_PROMPT, MAX_TOKENS = "a red circle moving right", "def mean(values):\n", 8


def run(now: datetime) -> list[Job]:
    """Submit what is due: in each pool that serves and is not paused, unless its last one is still open."""
    if not settings.SYNTHETIC_JOBS:
        return []
    with transaction.atomic():
        if not is_mine("alarms.synthetic"):
            return []
        caller = _caller()
    made = [_submitted(caller, pool, model, now) for pool, model in _due(caller, now)]
    return [job for job in made if job is not None]


def _caller() -> Caller:
    """The organization, made at first use; nobody can sign in as its owner."""
    owner = User.objects.filter(email=OWNER).first() or User.objects.create_user(OWNER, is_active=False)
    organization = Organization.objects.filter(slug=ORGANIZATION).first()
    if organization is None:
        organization = organizations.create(NAME, TIER, owner, ORGANIZATION)
    return Caller(organization, owner, None, ROLE_SCOPES[Membership.Role.MEMBER])


def _due(caller: Caller, now: datetime) -> list[tuple[Pool, RegisteredModel]]:
    models = RegisteredModel.objects.filter(status=RegisteredModel.Status.ACTIVE).order_by("-pk")
    serving = {model.pool_id: model for model in models.select_related("pool")}
    terms = pool_settings.pools(now)
    busy = set(
        Job.objects.filter(organization=caller.organization, state__in=OPEN_STATES).values_list(
            "model__pool", flat=True
        )
    )
    return [
        (model.pool, model)
        for slug, model in sorted(serving.items())
        if slug not in busy and not terms[slug].paused
    ]


def _submitted(caller: Caller, pool: Pool, model: RegisteredModel, now: datetime) -> Job | None:
    """One job; None where it was refused, which is an operational event and counts as a try."""
    turn = int(now.timestamp() // EVERY.total_seconds())
    submit = admission.submit_clip if model.kind == Kind.CLIP else admission.submit_code
    try:
        fields = _fields(model, turn)
        return submit(caller, fields, idempotency_key=f"synthetic-{pool.pk}-{turn}", source=SYNTHETIC)
    except (ApiError, FactsInvalid) as refusal:
        code = getattr(refusal, "code", "facts_invalid")
        operations.report("synthetic.refused", "warning", f"pool:{pool.pk}", {"code": code})
        logger.warning("the synthetic job was refused", extra={"pool": pool.pk, "code": code})
        return None


def _fields(model: RegisteredModel, turn: int) -> dict:
    """The least that the model makes. The seed changes with every turn, or the answer would come from the cache."""
    if model.kind == Kind.CODE:
        return {"model": model.name, "prompt": CODE_PROMPT, "max_tokens": MAX_TOKENS, "seed": turn}
    sizes = sorted(model.can.sizes, key=_pixels)
    return {
        "model": model.name,
        "prompt": PROMPT,
        "size": sizes[0],
        "seconds": min(model.can.seconds),
        "seed": turn,
    }


def _pixels(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height)
