"""`manage.py simulate`: a seeded scenario on virtual GPUs, or the last hour as recorded, through the live policy."""

import gc
import json
from dataclasses import asdict
from random import Random

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from generation.models import Pool
from generation.scheduling import lane_preview
from generation.simulator.report import LaneReport, Report, simulate
from generation.simulator.workloads import SCENARIOS, Ask

MOST_GPUS, MOST_HOURS = 20_000, 24.0


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--scenario", choices=sorted(SCENARIOS))
        what.add_argument(
            "--replay-last-hour", action="store_true", help="the recorded jobs of a pool, under its settings"
        )
        parser.add_argument("--pool", default="clips", help="of the replay")
        parser.add_argument("--gpus", type=int, default=4000)
        parser.add_argument("--hours", type=float, default=1.0)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--no-checkpoints", action="store_true")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")

    def handle(self, *args, **options) -> None:
        report = self._replay(options) if options["replay_last_hour"] else self._scenario(options)
        self.stdout.write(json.dumps(asdict(report)) if options["json"] else table(report))

    def _replay(self, options: dict) -> Report:
        if not Pool.objects.filter(pk=options["pool"]).exists():
            raise CommandError(f"there is no pool {options['pool']!r}")
        return lane_preview.replay(options["pool"], timezone.now())

    def _scenario(self, options: dict) -> Report:
        gpus, hours = options["gpus"], options["hours"]
        if not 1 <= gpus <= MOST_GPUS:
            raise CommandError(f"--gpus lies between 1 and {MOST_GPUS}")
        if not 0 < hours <= MOST_HOURS:
            raise CommandError(f"--hours lies above 0 and is at most {MOST_HOURS:g}")
        ask = Ask(gpus, hours * 3600, Random(options["seed"]), checkpoints=not options["no_checkpoints"])
        # Everything that a run makes lives to its end: looking for garbage meanwhile is a third of its time.
        gc.disable()
        try:
            return simulate(SCENARIOS[options["scenario"]](ask))
        finally:
            gc.enable()


COLUMNS = (
    ("lane", 11),
    ("asked", 8),
    ("refused", 8),
    ("started", 8),
    ("waiting", 8),
    ("wait p50", 9),
    ("wait p95", 9),
    ("in system p95", 14),
    ("share", 7),
    ("late", 7),
    ("credits", 10),
    ("preempted", 10),
    ("jain", 6),
)


def table(report: Report) -> str:
    """The report for people."""
    hours = f"{report.hours:g} h" if report.hours >= 0.1 else f"{report.hours * 60:.1f} min"
    lines = [
        f"{report.scenario}: {report.words}",
        f"{hours} of {report.gpus} GPUs, {report.jobs} jobs, {report.claims} claims, "
        f"{report.utilization:.1%} busy, checkpoints {'on' if report.checkpoints else 'off'}",
        "",
        " ".join(name.rjust(width) for name, width in COLUMNS),
        *(
            " ".join(cell.rjust(width) for cell, (_, width) in zip(_cells(lane), COLUMNS, strict=True))
            for lane in report.lanes
        ),
        "",
        f"wasted: {report.wasted_gpu_s:,.0f} GPU-s by interruptions "
        f"(without checkpoints {report.wasted_without_checkpoints_gpu_s:,.0f}), "
        f"{report.wasted_nan_gpu_s:,.0f} GPU-s by blow-ups",
        f"SLA credits: {report.sla_credits_micro / 1_000_000:,.0f} credits; machines: "
        f"${report.cost_micro_dollars / 1_000_000:,.2f}, per delivered clip {_dollars(report)}; "
        f"Jain index between lanes that waited: {_index(report.jain_lanes)}",
    ]
    if report.watched:
        lines.append(
            f"{report.watched.organization}: {report.watched.started} started, {report.watched.waiting} waiting, "
            f"wait p95 {_seconds(report.watched.wait_p95_s)}, {report.watched.gpu_s:,.0f} GPU-s"
        )
    return "\n".join(lines)


def _cells(lane: LaneReport) -> tuple[str, ...]:
    return (
        lane.lane,
        f"{lane.offered}",
        f"{lane.refused_rate + lane.refused_open}",
        f"{lane.started}",
        f"{lane.waiting}",
        _seconds(lane.wait_p50_s),
        _seconds(lane.wait_p95_s),
        _seconds(lane.system_p95_s),
        f"{lane.share:.1%}",
        f"{lane.late}",
        f"{lane.credits_micro / 1_000_000:,.0f}",
        f"{lane.preempted}",
        _index(lane.jain),
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} s"


def _index(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _dollars(report: Report) -> str:
    each = report.cost_per_clip_micro_dollars
    return "–" if each is None else f"${each / 1_000_000:,.3f}"
