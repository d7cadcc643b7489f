"""/metrics: a scrape that parses, counts what the rows count, and is shown to nobody else."""

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from accounts import operations
from accounts.models import OperationalEvent
from billing.models import Charge, Entry
from console.observability.metrics import catalog, counting
from generation import cancellation, finalization
from generation.finalization import Ran
from generation.models import Attempt, Job, JobEvent
from generation.scheduling import lane_settings
from safety.models import Credential, Scan
from tests.generation.api_stage import claimed, deliver, job_of, make_clip, media_folder, tenant  # noqa: F401

pytestmark = pytest.mark.django_db


def scrape(client: Client, **asked: str) -> dict[tuple, float]:
    """(sample name, labels as sorted pairs) → value."""
    answer = client.get("/metrics", asked)
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(answer.content.decode())
        for sample in family.samples
    }


def value(found: dict[tuple, float], name: str, **labels: str) -> float:
    return found.get((f"backlot_{name}", tuple(sorted(labels.items()))), 0.0)


def total(found: dict[tuple, float], name: str, **labels: str) -> float:
    """The sum over all series of a name that have these labels."""
    wanted = set(labels.items())
    return sum(
        number for (one, has), number in found.items() if one == f"backlot_{name}" and wanted <= set(has)
    )


@pytest.fixture
def told(client: Client) -> dict[tuple, float]:
    return scrape(client, of="installation")


@pytest.fixture
def history(client: Client, media_folder):  # noqa: F811
    """One clip delivered, one failed, one cancelled while it waits, one that still waits."""
    someone = tenant("plus")
    deliver(job_of(make_clip(client, someone)))
    failing = job_of(make_clip(client, someone))
    _, lease = claimed()
    finalization.fail(lease, Ran(gpu_ms=500, steps=3), "not_finite", "It was not finite.")
    cancelled = job_of(make_clip(client, someone))
    cancellation.cancel(cancelled, "its owner")
    make_clip(client, someone)
    return failing


def test_a_scrape_tells_every_metric_of_the_catalog_and_none_else(client: Client, history):
    client.get("/healthz")
    families = {family.name: family for family in read_text(client.get("/metrics").content.decode())}
    wanted = {family.name.removesuffix("_total"): family for family in catalog.FAMILIES}
    # What no process has counted yet has no series and is not named.
    assert set(wanted) - {"backlot_api_errors", "backlot_task_duration_seconds"} <= set(families)
    assert set(families) <= set(wanted)
    for name, family in families.items():
        assert family.type == wanted[name].kind
        assert family.documentation == wanted[name].help
        for sample in family.samples:
            assert set(sample.labels) == (
                set(wanted[name].all_labels) if sample.name.endswith("_bucket") else set(wanted[name].labels)
            )


def test_counters_are_what_the_rows_count(client: Client, told, history):
    before, after = told, scrape(client, of="installation")

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("jobs_submitted_total", kind="clip", tier="plus") == 4
    assert {state: grown("jobs_ended_total", state=state) for state in ("delivered", "failed", "cancelled")} == {
        "delivered": 1, "failed": 1, "cancelled": 1
    }  # fmt: skip
    assert grown("jobs_failed_total", code="not_finite") == 1
    assert grown("job_time_in_system_seconds_count", kind="clip") == 1
    assert grown("job_queue_wait_seconds_count", kind="clip") == 2
    assert total(after, "attempts_total") == Attempt.objects.exclude(ended_at=None).count()
    assert grown("attempts_total") == 2
    assert grown("device_seconds_total", outcome="delivered") == pytest.approx(1.0)
    assert grown("device_seconds_total", outcome="failed") == pytest.approx(0.5)
    assert total(after, "credentials_total", state="Trusted") == Credential.objects.count()
    assert total(after, "frame_scans_total") == Scan.objects.exclude(finished_at=None).count()
    assert total(after, "operational_events_total") == OperationalEvent.objects.count()
    assert total(after, "charges_total") == Charge.objects.count()
    assert grown("charges_total") == 3
    charged = sum(Charge.objects.values_list("amount", flat=True)) / 1e6
    assert total(after, "credits_charged_total") == pytest.approx(charged)
    moved = sum(amount for amount in Entry.objects.values_list("amount", flat=True) if amount > 0) / 1e6
    assert total(after, "ledger_credits_total") == pytest.approx(moved)
    assert JobEvent.objects.exists()


def test_levels_are_what_stands(client: Client, told, history):
    after = scrape(client, of="installation")
    where = {"pool": "clips", "lane": "clips-plus", "tier": "plus"}
    assert (
        value(after, "jobs_open", **where, state="queued") == Job.objects.filter(state="queued").count() == 1
    )
    assert value(after, "queue_oldest_wait_seconds", **where) > 0
    assert value(after, "jobs_open", pool="clips", lane="clips-free", tier="free", state="queued") == 0
    lane = next(lane for lane in lane_settings.lanes("clips") if lane.slug == "clips-plus")
    assert value(after, "lane_weight", pool="clips", lane="clips-plus") == lane.weight
    held = Job.objects.get(state="queued").quote_micro / 1e6
    assert value(after, "credits_held") - value(told, "credits_held") == pytest.approx(held)
    assert value(after, "database_up") == 1


def test_a_bucket_holds_what_is_at_most_its_bound(client: Client, history):
    after = scrape(client, of="installation")
    buckets = sorted(
        (float(dict(labels)["le"]), number)
        for (name, labels), number in after.items()
        if name == "backlot_job_time_in_system_seconds_bucket" and dict(labels)["tier"] == "plus"
    )
    numbers = [number for _, number in buckets]
    assert numbers == sorted(numbers)
    assert buckets[-1][0] == float("inf")
    assert numbers[-1] == total(after, "job_time_in_system_seconds_count", tier="plus")


def test_reading_is_a_bounded_number_of_queries(client: Client, history, django_assert_max_num_queries):
    with django_assert_max_num_queries(17):
        assert client.get("/metrics", {"of": "installation"}).status_code == 200


def test_no_label_holds_an_id_or_a_name(client: Client, history):
    text = client.get("/metrics").content.decode()
    someone = history.organization
    for secret in (str(history.pk), history.pk.hex, someone.slug, someone.name, history.prompt):
        assert secret not in text
    labels = {label for sample in read_text(text) for one in sample.samples for label in one.labels.values()}
    assert not [label for label in labels if "@" in label or len(label) > 80]


def test_openmetrics_where_it_is_asked_for(client: Client, history):
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert {family.name for family in read_openmetrics(answer.content.decode())} >= {"backlot_jobs_submitted"}


def test_requests_are_counted_by_route_and_never_by_address(client: Client):
    before = scrape(client, of="processes")
    client.get("/v1/videos/video_00000000000000000000000000000000")
    client.get("/no/such/page/for/anybody")
    after = scrape(client, of="processes")

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("http_request_duration_seconds_count", route="unmatched", status="4xx") == 1
    routes = {dict(labels).get("route") for name, labels in after}
    assert any(
        route and route.startswith("/v1/videos/") and "<" in route or "{" in str(route) for route in routes
    )
    assert not any("0000" in str(route) for route in routes)
    assert grown("api_errors_total", code="invalid_api_key") == 1
    assert not [name for name, _ in after if name.startswith("backlot_jobs")]


def test_only_this_machine_may_read_without_a_token(client: Client, settings):
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 200
    for address in ("10.0.0.7", "203.0.113.9", ""):
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404


def test_with_a_token_only_who_bears_it(client: Client, settings):
    settings.METRICS_TOKEN = "a-token-of-this-test"
    assert client.get("/metrics").status_code == 404
    wrong = {"Authorization": "Bearer another"}
    assert client.get("/metrics", headers=wrong, REMOTE_ADDR="10.0.0.7").status_code == 404
    right = {"Authorization": "Bearer a-token-of-this-test"}
    assert client.get("/metrics", headers=right, REMOTE_ADDR="10.0.0.7").status_code == 200
    assert client.post("/metrics", headers=right).status_code == 405


def test_a_part_that_is_unknown_is_refused_by_name(client: Client):
    answer = client.get("/metrics", {"of": "everything"})
    assert answer.status_code == 400
    assert b"installation or processes" in answer.content


def test_without_its_rows_a_scrape_says_so(client: Client, monkeypatch):
    from django.db import OperationalError

    def gone() -> None:
        raise OperationalError("the server went away")

    monkeypatch.setattr(counting, "read", gone)
    found = scrape(client, of="installation")
    assert found == {("backlot_database_up", ()): 0.0}


def test_an_event_counts_where_it_is_seen_and_what_is_kept_is_added(client: Client):
    """Kept totals and the rows behind them are one figure, whatever lies on which side."""
    before = total(scrape(client, of="installation"), "operational_events_total", kind="test.observed")
    operations.report("test.observed", "info", "test:1", {})
    operations.report("test.observed", "info", "test:2", {})
    seen = scrape(client, of="installation")
    assert total(seen, "operational_events_total", kind="test.observed") == before + 2
