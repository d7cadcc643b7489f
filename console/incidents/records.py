"""Rows of incidents: how each stands, the alarms that fired in it, its timeline, what is to be done after it."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.append_only import append_only
from accounts.models import Override
from accounts.records import WRITTEN
from console.incidents.policy import course

SETTINGS = "incidents"  # the one row of settings
# Every state that an incident comes to is a line of its timeline, whoever wrote it.
WRITES_ITS_LINE = """
    INSERT INTO console_incidentline (incident_id, at, author, person_id, what, text, detail)
    VALUES (NEW.id, NEW.changed_at, NEW.changed_by, NEW.changed_by_person_id,
            CASE WHEN TG_OP = 'INSERT' THEN 'opened'
                 WHEN OLD.state = 'mitigated' AND NEW.state <> 'resolved' THEN 'reopened' ELSE NEW.state END,
            NEW.change_reason, jsonb_build_object('state', NEW.state));
    RETURN NULL;
"""
WHATS = (
    *("opened", "acknowledged", "mitigated", "reopened", "resolved"),
    *("fired", "escalated", "cleared", "assigned", "severity", "linked"),
    *("note", "follow_up", "follow_up_done"),
)


class IncidentSettings(models.Model):
    """The baseline of what incidents are reckoned with; one row."""

    name = models.SlugField(primary_key=True, default=SETTINGS)
    on_call_hour_micro_dollars = models.BigIntegerField(default=300_000_000)

    class Meta:
        constraints = [
            models.CheckConstraint(name="incident_settings_once", condition=Q(name=SETTINGS)),
            models.CheckConstraint(
                name="on_call_hour_not_negative", condition=Q(on_call_hour_micro_dollars__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class IncidentOverride(Override):
    """One live change of those settings."""

    settings = models.ForeignKey(IncidentSettings, on_delete=models.PROTECT, related_name="overrides")

    class Meta(Override.Meta):
        abstract = False
        constraints = [
            *Override.Meta.constraints,
            models.CheckConstraint(
                condition=Q(field="on_call_hour_micro_dollars"), name="incident_override_field_known"
            ),
        ]


class Incident(models.Model):
    """Something that does harm, from its opening to its end. One per alarm is open at a time.

    `grave` is what is at stake: 3 safety, 2 money, 1 service. `began_at` is when the harm began, from where its cost
    counts. What it costs and whom it met is reckoned every few seconds and stands still once it is resolved; money in
    micro-dollars. `changed_by` and `change_reason` belong to the newest change of its state, whose line a trigger
    writes.
    """

    class State(models.TextChoices):
        OPEN = course.OPEN, "Open"
        ACKNOWLEDGED = course.ACKNOWLEDGED, "Acknowledged"
        MITIGATED = course.MITIGATED, "Mitigated"
        RESOLVED = course.RESOLVED, "Resolved"

    alarm = models.ForeignKey(
        "console.AlarmDefinition",
        null=True,
        on_delete=models.PROTECT,
        related_name="incidents",
        db_index=False,
    )
    title = models.CharField(max_length=200)
    grave = models.PositiveSmallIntegerField()
    severity = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    began_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=254)
    assignee = models.ForeignKey("accounts.User", null=True, on_delete=models.PROTECT, related_name="+")
    acknowledged_at = models.DateTimeField(null=True)
    mitigated_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=254)
    changed_by_person = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    change_reason = models.TextField()
    safety_incident = models.ForeignKey(
        "safety.SafetyIncident", null=True, on_delete=models.PROTECT, related_name="operated_as"
    )
    gpu_waste_micro_dollars = models.BigIntegerField(default=0)
    sla_micro_dollars = models.BigIntegerField(default=0)
    on_call_micro_dollars = models.BigIntegerField(null=True)  # known when it is resolved
    affected_jobs = models.PositiveIntegerField(default=0)
    affected_organizations = models.PositiveIntegerField(default=0)
    affected = models.JSONField(default=dict)  # {"jobs": [ids], "organizations": [{slug, name, jobs}]}
    reckoned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["alarm"], condition=~Q(state="resolved"), name="one_open_incident_per_alarm"
            ),
            models.CheckConstraint(name="incident_grave_known", condition=Q(grave__in=[1, 2, 3])),
            models.CheckConstraint(name="incident_severity_known", condition=Q(severity__in=[1, 2, 3, 4])),
            models.CheckConstraint(
                name="incident_says_who_and_why",
                condition=Q(title__regex=WRITTEN, opened_by__regex=WRITTEN)
                & Q(changed_by__regex=WRITTEN, change_reason__regex=WRITTEN),
            ),
            models.CheckConstraint(
                name="incident_state_whole",
                condition=Q(state="open", acknowledged_at=None, mitigated_at=None, resolved_at=None)
                | Q(state="acknowledged", acknowledged_at__isnull=False, mitigated_at=None, resolved_at=None)
                | Q(state="mitigated", mitigated_at__isnull=False, resolved_at=None)
                | Q(state="resolved", mitigated_at__isnull=False, resolved_at__isnull=False),
            ),
            models.CheckConstraint(
                name="incident_goes_forward",
                condition=Q(began_at__lte=F("opened_at"))
                & (Q(acknowledged_at=None) | Q(acknowledged_at__gte=F("opened_at")))
                & (Q(mitigated_at=None) | Q(mitigated_at__gte=F("opened_at")))
                & (Q(resolved_at=None) | Q(resolved_at__gte=F("mitigated_at"))),
            ),
            models.CheckConstraint(
                name="incident_cost_whole",
                condition=Q(gpu_waste_micro_dollars__gte=0, sla_micro_dollars__gte=0)
                & (
                    Q(state="resolved", on_call_micro_dollars__isnull=False, on_call_micro_dollars__gte=0)
                    | ~Q(state="resolved") & Q(on_call_micro_dollars=None)
                ),
            ),
        ]
        indexes = [
            models.Index(F("opened_at").desc(), name="operated_incident_newest"),
            models.Index(fields=["grave"], condition=~Q(state="resolved"), name="operated_incident_open"),
        ]
        triggers = [
            pgtrigger.FSM(name="moves_on", field="state", transitions=list(course.TRANSITIONS)),
            pgtrigger.ReadOnly(name="opening_is_fixed", fields=["alarm", "opened_at", "opened_by"]),
            pgtrigger.Protect(
                name="resolved_is_kept",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state="resolved"),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="begins_open",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                IF NEW.state <> 'open' THEN
                    RAISE EXCEPTION 'an incident begins open' USING ERRCODE = 'check_violation';
                END IF;
                RETURN NEW;
                """,
            ),
            pgtrigger.Trigger(
                name="opening_is_a_line",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                func=WRITES_ITS_LINE.replace(
                    "WHEN OLD.state = 'mitigated' AND NEW.state <> 'resolved' THEN 'reopened' ", ""
                ),
            ),
            pgtrigger.Trigger(
                name="state_is_a_line",
                operation=pgtrigger.Update,
                when=pgtrigger.After,
                condition=pgtrigger.Q(old__state__df=pgtrigger.F("new__state")),
                func=WRITES_ITS_LINE,
            ),
        ]

    def __str__(self) -> str:
        return f"incident {self.pk}"


class IncidentFiring(models.Model):
    """A firing of an alarm belongs to one incident. `level` and `cleared_at` are as its timeline last told."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="firings")
    firing = models.OneToOneField(
        "console.AlarmFiring", on_delete=models.PROTECT, related_name="incident_link"
    )
    level = models.PositiveSmallIntegerField()
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["incident"], condition=Q(cleared_at=None), name="incident_firing_standing")
        ]
        triggers = [
            pgtrigger.ReadOnly(name="belonging_is_fixed", fields=["incident", "firing"]),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"firing {self.firing_id} in {self.incident_id}"


class IncidentLine(models.Model):
    """One line of a timeline. What was changed meanwhile is not copied here: the audit log has it. Append-only."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="lines", db_index=False)
    at = models.DateTimeField(db_default=Now())
    author = models.CharField(max_length=254)  # the e-mail address then, or a part of the system
    person = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    what = models.CharField(max_length=16)
    text = models.TextField()
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(name="incident_line_known", condition=Q(what__in=WHATS)),
            models.CheckConstraint(
                name="incident_line_written", condition=Q(author__regex=WRITTEN, text__regex=WRITTEN)
            ),
        ]
        indexes = [models.Index(fields=["incident", "at", "id"], name="operated_incident_lines")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.what} in {self.incident_id}"


class FollowUp(models.Model):
    """Something to be done after an incident, by somebody."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="follow_ups")
    text = models.CharField(max_length=400)
    owner = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=254)
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=254, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="follow_up_written", condition=Q(text__regex=WRITTEN, created_by__regex=WRITTEN)
            ),
            models.CheckConstraint(
                name="follow_up_done_by_someone",
                condition=Q(done_at=None, done_by="") | Q(done_at__isnull=False, done_by__regex=WRITTEN),
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="follow_up_is_fixed", fields=["incident", "text", "owner", "created_at", "created_by"]
            ),
            pgtrigger.Protect(
                name="done_is_done",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__done_at__isnull=False),
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"follow-up {self.pk} of {self.incident_id}"
