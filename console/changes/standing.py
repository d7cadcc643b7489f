"""Which changes still stand, so that a page offers no way back where there is none. One query per kind."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import models

from accounts.models import AuditEntry, Override
from billing.models import Transaction
from console.models import AlarmOverride, AlarmSilence
from generation.models import (
    LaneOverride,
    PoolOverride,
    RaiseRuleOverride,
    RegisteredModel,
    ReviewPull,
    Withdrawal,
    Worker,
)
from generation.retention.records import FileRetention
from safety.models import (
    LikenessThresholdOverride,
    PromptCategoryOverride,
    Rule,
    RuleOverride,
    ScanPolicyOverride,
    SignerKey,
    ThresholdOverride,
)
from safety.prefilter.text_records import TextThresholdOverride

Entries = Sequence[AuditEntry]
Still = Callable[[Entries, datetime], set[int]]


def _override(table: type[Override], per_person: type[Override] | None = None) -> Still:
    """Overrides that were not removed and have not expired. Of likeness, thresholds per kind of person ("/" in their
    target) lie in a table of their own."""

    def still(entries: Entries, now: datetime) -> set[int]:
        parts = [(table, [one for one in entries if per_person is None or "/" not in one.target])]
        if per_person is not None:
            parts.append((per_person, [one for one in entries if "/" in one.target]))
        return {
            entry.pk
            for rows, some in parts
            for standing_ones in [_in_force(rows, some, now) if some else set()]
            for entry in some
            if entry.undo["override"] in standing_ones
        }

    return still


def _in_force(table: type[Override], entries: Entries, now: datetime) -> set[int]:
    asked = [entry.undo["override"] for entry in entries]
    rows = table.objects.filter(pk__in=asked, removed_at=None)
    return set(
        rows.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now)).values_list("pk", flat=True)
    )


def _newest(entries: Entries) -> list[AuditEntry]:
    """The newest change of each target: an older one was overtaken."""
    found: dict[str, AuditEntry] = {}
    for entry in sorted(entries, key=lambda one: one.pk):
        found[entry.target] = entry
    return list(found.values())


def _worker(entries: Entries, now: datetime) -> set[int]:
    newest = _newest(entries)
    ids = [UUID(entry.target.partition(":")[2]) for entry in newest]
    desired = dict(Worker.objects.filter(pk__in=ids, stopped_at=None).values_list("pk", "desired"))
    return {
        entry.pk for entry, pk in zip(newest, ids, strict=True) if desired.get(pk) == entry.undo.get("set")
    }


def _model(entries: Entries, now: datetime) -> set[int]:
    newest = _newest(entries)
    ids = [int(entry.target.partition(":")[2]) for entry in newest]
    status = dict(RegisteredModel.objects.filter(pk__in=ids).values_list("pk", "status"))
    return {
        entry.pk
        for entry, pk in zip(newest, ids, strict=True)
        if status.get(pk) == (entry.after or {}).get("status")
    }


def _rule(entries: Entries, now: datetime) -> set[int]:
    """A rule that is live by itself, or under its own override."""
    lasting = [entry for entry in entries if "override" not in entry.undo]
    ending = [entry for entry in entries if "override" in entry.undo]
    live = set(
        Rule.objects.filter(pk__in=[one.undo["rule"] for one in lasting], live=True).values_list(
            "pk", flat=True
        )
    )
    in_force = _in_force(RuleOverride, ending, now) if ending else set()
    return {one.pk for one in lasting if one.undo["rule"] in live} | {
        one.pk for one in ending if one.undo["override"] in in_force
    }


def _pull(entries: Entries, now: datetime) -> set[int]:
    rows = ReviewPull.objects.filter(pk__in=[entry.undo["pull"] for entry in entries])
    standing = set(rows.exclude(state=ReviewPull.State.UNDONE).values_list("pk", flat=True))
    return {entry.pk for entry in entries if entry.undo["pull"] in standing}


def _withdrawal(entries: Entries, now: datetime) -> set[int]:
    named = {entry.pk: entry.undo.get("withdrawals") or [entry.undo.get("withdrawal")] for entry in entries}
    asked = [pk for some in named.values() for pk in some]
    rows = Withdrawal.objects.filter(pk__in=asked, restored_at=None, final=False)
    standing = set(rows.values_list("pk", flat=True))
    return {pk for pk, some in named.items() if set(some) <= standing}


def _signer(entries: Entries, now: datetime) -> set[int]:
    keys = [entry.undo[name] for entry in entries for name in ("new", "old")]
    state = dict(SignerKey.objects.filter(pk__in=keys).values_list("pk", "state"))
    wanted = (SignerKey.State.ACTIVE, SignerKey.State.RETIRING)
    return {one.pk for one in entries if (state.get(one.undo["new"]), state.get(one.undo["old"])) == wanted}


def _credits(entries: Entries, now: datetime) -> set[int]:
    asked = [pk for entry in entries for pk in entry.undo["credits"]]
    gone = set(
        Transaction.objects.filter(reverses__sla_credit__in=asked).values_list(
            "reverses__sla_credit", flat=True
        )
    )
    return {one.pk for one in entries if one.undo["credits"] and not gone & set(one.undo["credits"])}


def _silence(entries: Entries, now: datetime) -> set[int]:
    rows = AlarmSilence.objects.filter(
        pk__in=[entry.undo["silence"] for entry in entries], removed_at=None, ends_at__gt=now
    )
    standing = set(rows.values_list("pk", flat=True))
    return {entry.pk for entry in entries if entry.undo["silence"] in standing}


def _retention(entries: Entries, now: datetime) -> set[int]:
    newest = _newest(entries)
    days = dict(FileRetention.objects.values_list("tier_id", "days"))
    return {one.pk for one in newest if days.get(one.target.partition(":")[2]) == one.undo["set"]}


STILL: dict[str, Still] = {
    "lane.weight": _override(LaneOverride),
    "lane.setting": _override(LaneOverride),
    "raise_rule.setting": _override(RaiseRuleOverride),
    "pool.setting": _override(PoolOverride),
    "pool.pause": _override(PoolOverride),
    "alarm.setting": _override(AlarmOverride),
    "safety.threshold": _override(ThresholdOverride, LikenessThresholdOverride),
    "safety.scans": _override(ScanPolicyOverride),
    "safety.text_threshold": _override(TextThresholdOverride),
    "safety.category": _override(PromptCategoryOverride),
    "safety.rule_switch": _override(RuleOverride),
    "safety.rule_add": _rule,
    "worker.state": _worker,
    "model.promote": _model,
    "model.quarantine": _model,
    "model.retire": _model,
    "review.pull": _pull,
    "clip.withdraw": _withdrawal,
    "clips.withdraw": _withdrawal,
    "signer.rotate": _signer,
    "sla.grant": _credits,
    "alarm.silence": _silence,
    "retention.days": _retention,
}


def standing(entries: Entries, now: datetime) -> set[int]:
    """Of these changes, those that are in force and can be undone."""
    by_name: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        if entry.undo and entry.action in STILL:
            by_name.setdefault(entry.action, []).append(entry)
    return {pk for name, found in by_name.items() for pk in STILL[name](found, now)}
