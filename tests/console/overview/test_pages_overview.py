"""The overview's page: one sentence, budgets, charts whose points open exactly the rows they count, and no more queries
for more jobs."""

import csv
import io
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.alarms import rounds as alarm_rounds
from console.models import AlarmFiring
from console.overview import figures, rounds
from console.overview.policy.spread import quantile, spread_of
from generation import dispatch
from generation.models import Job
from tests.console.overview import past
from tests.console.people import PROMPT, clip, operator, person
from tests.generation.api_stage import deliver, media_folder

__all__ = ["media_folder"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_folder")]
PAGE = "/operate/"
MOST_PAGE, MOST_CHART = 44, 20


def recomputed() -> None:
    now = dispatch.clock()
    rounds.recompute(now - timedelta(hours=4), now, lambda line: None)


def drawn(client, name: str, query: str = "range=6h") -> dict:
    html = client.get(f"/operate/overview/{name}/?{query}").content.decode()
    return json.loads(re.search(r'<script id="overview-[a-z]+-data"[^>]*>(.*?)</script>', html).group(1))


def jobs_of(client, link: str) -> list[str]:
    """The public ids of every row of a list, over all its pages."""
    found, offset = [], 0
    while True:
        html = client.get(f"{link}&offset={offset}").content.decode()
        rows = re.findall(r'<tr data-href="/operate/jobs/([^"/]+)/"', html)
        found += rows
        if len(rows) < 100:
            return found
        offset += 100


def total(chart: dict, name: str) -> float:
    (series,) = [one for one in chart["series"] if one["name"] == name]
    return sum(value or 0 for value in series["y"])


def test_a_quiet_deployment_says_that_it_is_well_and_what_is_not_known():
    client, _ = operator()
    html = client.get(PAGE).content.decode()
    assert "Not known: nothing was counted lately and nobody looks at alarms." in html
    now = dispatch.clock()
    recomputed()
    alarm_rounds.run(now, 0.0)
    AlarmFiring.objects.all()
    html = client.get(PAGE).content.decode()
    assert "No incident is open" in html
    assert "nothing counted yet" in html
    assert client.get("/operate/overview/now").status_code == 200


def test_only_operators_see_it():
    client, _ = person()
    for address in (
        PAGE,
        "/operate/overview/wait/",
        "/operate/overview/wait.csv",
        "/operate/jobs/?did=ended",
    ):
        assert client.get(address).status_code == 403


def test_every_point_opens_exactly_the_rows_that_it_counts():
    past.many_fates(25, 3, past.hour_ago() - timedelta(hours=2), timedelta(hours=2, minutes=55))
    recomputed()
    client, _ = operator()
    counted = 0
    for name in ("throughput", "failures", "rejections", "retries", "backlog", "sla"):
        chart = drawn(client, name)
        for series in chart["series"]:
            if series["name"] == "Credits given":
                continue
            for value, link in zip(series["y"], series["links"], strict=True):
                if value:
                    assert len(jobs_of(client, link)) == value, (name, series["name"], link)
                    counted += value
    assert counted > 200
    ended = drawn(client, "throughput")
    assert total(ended, "Delivered") == Job.objects.filter(state="delivered").count()


def test_a_point_of_the_waits_is_the_percentile_of_the_jobs_it_opens():
    past.many_fates(20, 5, past.hour_ago() - timedelta(hours=1), timedelta(hours=1, minutes=50))
    recomputed()
    client, _ = operator()
    chart = drawn(client, "wait", "range=6h&tier=plus")
    by_id = {job.public_id: job for job in Job.objects.all()}
    checked = 0
    (p95,) = [one for one in chart["series"] if one["name"] == "Plus p95"]
    for value, link in zip(p95["y"], p95["links"], strict=True):
        until = timezone.datetime.fromisoformat(parse_qs(urlsplit(link).query)["to"][0])
        if value is None or until > timezone.now():
            continue
        jobs = [by_id[public_id] for public_id in jobs_of(client, link)]
        waits = [
            round(
                (
                    (job.started_at if job.started_at and job.started_at < until else until) - job.queued_at
                ).total_seconds()
                * 1000
            )
            for job in jobs
        ]
        assert value == float(f"{quantile(spread_of(waits), 0.95) / 1000:.4g}")
        checked += 1
    assert checked > 5


def test_who_still_waits_counts_with_their_age():
    _, plus = person(tier="plus")
    past.at(clip(plus), timezone.now() - timedelta(minutes=10))
    recomputed()
    client, _ = operator()
    html = client.get(PAGE).content.decode()
    assert re.search(r"Plus p95 wait (9 min \d+ s|10 min( \d+ s)?) of 60 s", html)
    assert "1 waiting" in html
    chart = drawn(client, "wait", "range=1h")
    (p50,) = [one for one in chart["series"] if one["name"] == "Plus p50"]
    ages = [value for value in p50["y"] if value is not None]
    assert ages == sorted(ages)
    assert ages[-1] == pytest.approx(600, rel=0.06)
    backlog = drawn(client, "backlog", "range=1h")
    assert [value for value in backlog["series"][0]["y"] if value][-1] == 1


def test_a_firing_alarm_and_an_overdrawn_budget_are_said_first():
    now = dispatch.clock()
    recomputed()
    alarm_rounds.run(now, 0.0)
    AlarmFiring.objects.create(
        alarm_id="not_finite", level=1, opened_at=now, value=0.1, peak=0.1, threshold=0.005
    )
    html = operator()[0].get(PAGE).content.decode()
    assert "Not well: NaN rate" in html


def test_filters_and_ranges_stand_in_the_address_and_wrong_ones_are_refused():
    client, _ = operator()
    html = client.get(f"{PAGE}?range=24h&tier=plus&pool=clips&compare=week").content.decode()
    assert 'href="?range=24h&amp;pool=clips&amp;tier=plus"' in html  # without comparing
    assert "/operate/overview/wait/?range=24h&amp;pool=clips&amp;tier=plus&amp;compare=week" in html
    for wrong in (
        "range=2y",
        "tier=gold",
        "pool=none",
        "model=x",
        "from=soon",
        "from=2026-01-02&to=2026-01-01",
    ):
        assert client.get(f"{PAGE}?{wrong}").status_code == 400
    for wrong in ("did=nothing", "did=ended&offset=x", "did=ended&tier=gold"):
        assert client.get(f"/operate/jobs/?{wrong}").status_code == 400
    assert client.get("/operate/overview/nothing/").status_code == 404


def test_the_week_before_stands_beside_it():
    _, plus = person(tier="plus")
    past.at(deliver(clip(plus)), past.hour_ago() - timedelta(days=7))
    now = dispatch.clock()
    rounds.recompute(now - timedelta(days=8), now, lambda line: None)
    client, _ = operator()
    assert "a week before" not in json.dumps(drawn(client, "throughput", "range=6h"))
    chart = drawn(client, "throughput", "range=6h&compare=week")
    (before,) = [one for one in chart["series"] if one["name"] == "Delivered, a week before"]
    assert (sum(before["y"]), before["faint"]) == (1, True)
    (link,) = [link for value, link in zip(before["y"], before["links"], strict=True) if value]
    assert len(jobs_of(client, link)) == 1


def test_changes_of_operators_are_marks_and_every_chart_has_its_table_and_csv():
    client, user = operator()
    client.post(
        "/operate/scheduling/pool/clips/gpu_hour_micro_dollars", {"value": "7", "reason": "a contract"}
    )
    past.at(deliver(clip(person(tier="plus")[1])), past.hour_ago())
    recomputed()
    html = client.get(PAGE).content.decode()
    assert "a contract" in html
    assert PROMPT not in html
    for figure in figures.FIGURES:
        chart = drawn(client, figure.name)
        assert [mark["words"].rpartition(", ")[2] for mark in chart["marks"]] == [user.email]
        sheet = list(
            csv.reader(
                io.StringIO(client.get(f"/operate/overview/{figure.name}.csv?range=6h").content.decode())
            )
        )
        assert len(sheet) == 1 + len(chart["series"][0]["x"]) if chart["series"] else len(sheet) >= 1
        assert len(sheet[0]) == 1 + len(chart["series"])
        part = client.get(f"/operate/overview/{figure.name}/?range=6h", headers={"HX-Request": "true"})
        assert b"<html" not in part.content
        assert b"The same as a table" in part.content


def test_cost_per_clip_and_device_time_are_those_of_the_jobs():
    _, plus = person(tier="plus")
    past.at(deliver(clip(plus)), past.hour_ago())  # 1,000 ms
    recomputed()
    client, _ = operator()
    cost = drawn(client, "cost")["series"][0]["y"]
    assert [value for value in cost if value] == [float(f"{3.5 / 3600:.4g}")]
    assert total(drawn(client, "gpu"), "Used") == 1


def test_queries_do_not_grow_with_jobs():
    client, _ = operator()
    addresses = [PAGE, *(f"/operate/overview/{one.name}/?compare=week" for one in figures.FIGURES)]
    addresses += ["/operate/jobs/?did=ended", "/operate/jobs/?did=waited"]
    past.every_fate()

    def queries() -> dict[str, int]:
        recomputed()
        found = {}
        for address in addresses:
            client.get(address)
            with CaptureQueriesContext(connection) as caught:
                assert client.get(address).status_code == 200
            found[address] = len(caught)
        return found

    few = queries()
    for organization in {job.organization for job in Job.objects.all()}:
        past.crowd(organization, 40)
    assert queries() == few
    assert few[PAGE] <= MOST_PAGE
    assert {address: count for address, count in few.items() if address != PAGE and count > MOST_CHART} == {}
