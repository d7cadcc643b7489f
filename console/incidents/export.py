"""An incident as a file: everything on record, as JSON and as Markdown for a report."""

from datetime import datetime

from console.incidents import timeline
from console.incidents.board import Row
from console.incidents.policy.course import SEVERITIES
from console.incidents.timeline import Moment


def as_json(row: Row, now: datetime) -> dict:
    """All of it; money in micro-dollars, times as ISO 8601."""
    one = row.incident
    return {
        "incident": one.pk,
        "title": one.title,
        "alarm": one.alarm_id,
        "stake": row.stake.lower(),
        "severity": one.severity,
        "state": one.state,
        "opened_by": one.opened_by,
        "assignee": one.assignee.email if one.assignee else None,
        "safety_incident": one.safety_incident_id,
        **{name: _iso(getattr(one, name)) for name in TIMES},
        "cost_micro_dollars": {
            "gpu_waste": row.cost.gpu_waste,
            "sla_credits": row.cost.sla_credits,
            "on_call": row.cost.on_call,
            "total": row.cost.total,
        },
        "affected": {
            "jobs": one.affected_jobs,
            "organizations": one.affected_organizations,
            "some": one.affected,
        },
        "timeline": [_moment(moment) for moment in timeline.of(one, now)],
        "follow_ups": [
            {
                "text": task.text,
                "owner": task.owner.email,
                "created_at": _iso(task.created_at),
                "done_at": _iso(task.done_at),
                "done_by": task.done_by or None,
            }
            for task in one.follow_ups.select_related("owner").order_by("pk")
        ],
    }


TIMES = ("began_at", "opened_at", "acknowledged_at", "mitigated_at", "resolved_at", "reckoned_at")


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(moment: Moment) -> dict:
    told = {"at": _iso(moment.at), "what": moment.what, "by": moment.author, "text": moment.text}
    if moment.action:
        told |= {"action": moment.action, "target": moment.target, "audit_entry": moment.entry}
        told["changes"] = [
            {"name": name, "before": before, "after": after} for name, before, after in moment.changes
        ]
    return told


def as_markdown(row: Row, now: datetime) -> str:
    """The same as a page to paste into a report; times in UTC."""
    told, one = as_json(row, now), row.incident
    money = told["cost_micro_dollars"]
    lines = [
        f"# Incident {one.pk}: {_plain(one.title)}",
        "",
        f"{row.stake} · {SEVERITIES[one.severity]} · {one.get_state_display()}",
        "",
        *_table(
            ("", ""),
            [(name.removesuffix("_at").capitalize(), _utc(getattr(one, name))) for name in TIMES[:5]],
        ),
        "",
        f"Cost: {_dollars(money['total'])}, of that device time {_dollars(money['gpu_waste'])}, SLA credits "
        f"{_dollars(money['sla_credits'])}, on-call time {_dollars(money['on_call'])}.",
        "",
        f"Met {one.affected_jobs:,} jobs of {one.affected_organizations:,} organizations.",
        "",
        "## Timeline",
        "",
        *_table(
            ("When (UTC)", "Who", "What", "Words"),
            [(_utc(each.at), each.author, each.label, _words(each)) for each in timeline.of(one, now)],
        ),
        "",
        "## Follow-ups",
        "",
        *(
            [
                f"- [{'x' if task['done_at'] else ' '}] {_plain(task['text'])} ({task['owner']})"
                for task in told["follow_ups"]
            ]
            or ["None."]
        ),
        "",
    ]
    return "\n".join(lines)


def _tasks(tasks: list[dict]) -> list[str]:
    return [
        f"- [{'x' if task['done_at'] else ' '}] {_plain(task['text'])} ({task['owner']})" for task in tasks
    ]


def _words(moment: Moment) -> str:
    changes = ", ".join(f"{name} {before} → {after}" for name, before, after in moment.changes)
    return " ".join(filter(None, (moment.target, changes, moment.text)))


def _table(head: tuple[str, ...], rows: list[tuple]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(_plain(str(cell)) for cell in row)} |" for row in rows),
    ]


def _plain(text: str) -> str:
    """What people typed, without anything that Markdown would read in it."""
    for mark in "\\|*_`<>[]#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _utc(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "–"


def _dollars(micro: int) -> str:
    return f"${micro / 1_000_000:,.2f}"
