"""A change of a lane is simulated on the last hour before it can be applied; nothing unseen is applied."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from generation.models import Job, LaneOverride
from generation.scheduling import lane_preview, lane_settings
from tests.console.people import clip, operator, person
from tests.console.test_pages_operate import change, seen, weight

pytestmark = pytest.mark.django_db


def setting(slug: str, name: str) -> float:
    (lane,) = [lane for lane in lane_settings.lanes() if lane.slug == slug]
    return getattr(lane_settings.effective(lane, timezone.now()), name)


def test_too_little_traffic_is_said_and_a_made_up_span_is_simulated():
    client, _ = operator()
    clip(person()[1])
    html = client.get("/operate/lanes/clips-plus/weight/preview", {"value": "8"}).content.decode()
    assert "Only 1 job in the last hour, too few to tell. This is a made-up one" in html
    assert html.count("<figure") == 2
    assert re.search(r"p95 wait: Plus [\d.,]+ (s|min) → [\d.,]+ (s|min)", html)


def test_the_made_up_span_shows_that_more_weight_means_less_waiting():
    now = timezone.now()
    found = lane_preview.effect("clips-plus", "weight", 30.0, now)
    plus = next(lane for lane in found.lanes if lane.slug == "clips-plus")
    enterprise = next(lane for lane in found.lanes if lane.slug == "clips-enterprise")
    assert found.trace.made_up
    assert plus.then.wait_p95_s < plus.now.wait_p95_s
    assert plus.then.share > plus.now.share
    assert enterprise.then.share < enterprise.now.share
    assert lane_preview.effect("clips-plus", "weight", 30.0, now) == found  # the same at every look


def test_recorded_jobs_are_simulated_as_they_came(monkeypatch):
    monkeypatch.setattr(lane_preview, "LEAST_JOBS", 2)
    _, plus = person()
    jobs = [clip(plus) for _ in range(3)]
    now = timezone.now()
    for minutes, job in zip((50, 30, 10), jobs, strict=True):
        came = now - timedelta(minutes=minutes)
        Job.objects.filter(pk=job.pk).update(
            queued_at=came, started_at=came + timedelta(minutes=2), estimate_gpu_ms=4000
        )
    trace = lane_preview.recorded("clips", now)
    assert [round(arrival.at_s) for arrival in trace.arrivals] == [600, 1800, 3000]
    assert {arrival.lane for arrival in trace.arrivals} == {"clips-plus"}
    assert (trace.slots, trace.made_up, trace.span_s) == (1, False, 3600.0)
    report = lane_preview.replay("clips", now)
    assert report.lane("clips-plus").delivered == 3
    assert report.lane("clips-plus").gpu_s == pytest.approx(12.0)


def test_only_the_newest_are_taken_and_the_span_begins_with_them(monkeypatch):
    monkeypatch.setattr(lane_preview, "MOST_JOBS", 2)
    _, plus = person()
    now = timezone.now()
    for minutes in (50, 30, 10):
        came = now - timedelta(minutes=minutes)
        Job.objects.filter(pk=clip(plus).pk).update(queued_at=came, started_at=came)
    trace = lane_preview.recorded("clips", now)
    assert [round(arrival.at_s) for arrival in trace.arrivals] == [0, 1200]
    assert trace.span_s == pytest.approx(1800)


def test_a_change_that_nobody_looked_at_is_refused():
    client, _ = operator()
    for token in ("", "nonsense", seen(client, value="5"), seen(client, "clips-pro", value="4")):
        response = change(client, seen=token)
        assert response.status_code == 400
        assert "Look at what this change would do first" in response.content.decode()
    other, _ = operator()
    assert change(client, seen=seen(other)).status_code == 400
    assert not LaneOverride.objects.exists()
    assert change(client).status_code == 302


def test_a_preview_of_what_was_changed_meanwhile_counts_no_more():
    client, _ = operator()
    token = seen(client, value="6")
    assert change(client, value="4").status_code == 302
    assert change(client, value="6", seen=token).status_code == 400
    assert weight("clips-plus") == 4


def test_without_scripts_the_page_itself_shows_the_effect_and_only_then_the_button():
    client, _ = operator()
    html = client.get("/operate/lanes/?edit=clips-plus").content.decode()
    assert re.search(r'<button[^>]*id="apply" disabled>', html)
    assert 'name="seen"' not in html
    html = client.get("/operate/lanes/?edit=clips-plus&field=weight&value=4").content.decode()
    assert re.search(r'<button[^>]*id="apply">', html)
    token = re.search(r'name="seen" value="([^"]+)"', html)[1]
    assert (
        client.post(
            "/operate/lanes/clips-plus/weight", {"value": "4", "reason": "a rush", "seen": token}
        ).headers["Location"]
        == "/operate/lanes/"
    )
    assert weight("clips-plus") == 4


@pytest.mark.parametrize(("field", "value", "stored"), [("floor", "0.3", 0.3), ("max_running", "5", 5)])
def test_floor_and_burst_cap_change_the_same_way_and_back(field, value, stored):
    client, _ = operator()
    before = setting("clips-plus", field)
    assert change(client, field=field, value=value).status_code == 302
    assert setting("clips-plus", field) == stored
    html = client.get("/operate/lanes/").content.decode()
    entry = re.search(r'action="/operate/changes/(\d+)/undo"', html)[1]
    client.post(f"/operate/changes/{entry}/undo", {"reason": "calm again"})
    assert setting("clips-plus", field) == before


def test_an_unknown_setting_is_refused():
    client, _ = operator()
    assert change(client, field="colour").status_code == 404
    assert "no setting" in client.get("/operate/lanes/clips-plus/colour/preview?value=1").content.decode()


def test_a_preview_takes_few_queries_and_a_maker_gets_none(django_assert_max_num_queries):
    client, _ = operator()
    clip(person()[1])
    with django_assert_max_num_queries(30):
        client.get("/operate/lanes/clips-plus/weight/preview", {"value": "4"})
    with django_assert_max_num_queries(56):
        client.get("/operate/lanes/?edit=clips-plus&field=weight&value=4")
    maker, _ = person()
    assert maker.get("/operate/lanes/clips-plus/weight/preview", {"value": "4"}).status_code == 403
