"""Prompts that the text filter refused, for trust & safety: by what, under which versions. Kept for 30 days.

One for each stored refusal: what a stored refusal stands for (the rest of that minute) is counted, not kept.
"""

from datetime import datetime, timedelta

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models import Decision
from generation.fleet.pools import Kind
from safety.prefilter.cascade import Screening

KEPT = timedelta(days=30)


class RefusedPrompt(models.Model):
    """The text of a refused request. Never changed; deleted when `KEPT` is over."""

    decision = models.OneToOneField(
        "billing.Decision", on_delete=models.PROTECT, related_name="refused_prompt"
    )
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=8, choices=Kind.choices)
    prompt = models.TextField()
    category = models.CharField(max_length=30)  # what it was refused for
    stage = models.CharField(max_length=20)  # which stage refused it; "suspension" for a suspended category
    about = models.JSONField(default=list)  # the categories that the prompt was found to be about
    scores = models.JSONField(default=dict)  # of the stages behind the rules, where they were asked
    versions = models.JSONField(default=dict)  # of the policies it was refused under: text, rule, suspension

    class Meta:
        constraints = [
            models.CheckConstraint(name="refused_prompt_kind_known", condition=Q(kind__in=["clip", "code"])),
            models.CheckConstraint(name="refused_prompt_category_named", condition=~Q(category="")),
        ]
        indexes = [models.Index(fields=["-at"], name="refused_prompt_newest_first")]
        triggers = [pgtrigger.Protect(name="refused_prompts_stand", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.category} in {self.kind}, {self.at:%Y-%m-%d %H:%M}"


def keep(decision: Decision, prompt: str, kind: str, screening: Screening) -> None:
    """Keep the text behind a stored refusal; of one decision the first alone."""
    versions = dict(screening.versions)
    if screening.rule_id is not None:
        versions["rule"] = f"{screening.rule_id} v{screening.rule_version}"
    if screening.example_id is not None:
        versions["example"] = f"{screening.example_id} v{screening.versions['example']}"
    if screening.score is not None:
        versions["score"] = round(screening.score, 4)
    row = RefusedPrompt(
        decision=decision,
        prompt=prompt,
        kind=kind,
        category=screening.category,
        stage=screening.stage,
        about=screening.about,
        scores=screening.scores,
        versions=versions,
    )
    RefusedPrompt.objects.bulk_create([row], ignore_conflicts=True)


def forget(now: datetime) -> int:
    """Delete what was kept long enough; how many."""
    return RefusedPrompt.objects.filter(at__lt=now - KEPT).delete()[0]
