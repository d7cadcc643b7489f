"""Redis emptied while jobs wait and run: it carried motion only, so none is lost and none is charged twice."""

import pytest
import redis

pytestmark = pytest.mark.faults


def test_wiped_redis_loses_no_job_and_charges_none_twice(service):
    clips = [service.submit(prompt=f"a blue square moves right over sand, {n}", seed=n) for n in range(4)]
    service.until("SELECT 1 FROM generation_job WHERE state = 'running'")
    with redis.Redis.from_url(service.redis_url) as client:
        client.flushall()
        clips += [service.submit(prompt="a green star falls over snow", seed=n) for n in range(2)]
        client.flushall()
    ended = [service.finished(clip) for clip in clips]
    assert [clip["status"] for clip in ended] == ["completed"] * 6
    charges = service.rows(
        """SELECT u.subject, count(*) FROM billing_charge c JOIN billing_usageevent u ON u.id = c.usage_event_id
            WHERE u.subject = ANY (%s) GROUP BY 1""",
        [service.job_id(clip["id"]) for clip in clips],
    )
    assert sorted(count for _, count in charges) == [1] * 6
    assert service.reconciles()


def test_a_stream_goes_on_after_redis_was_wiped(service):
    with redis.Redis.from_url(service.redis_url) as client:
        pieces = []
        for piece in service.stream(prompt="names = ['alpha', 'beta', 'gamma', ", max_tokens=100, seed=7):
            pieces.append(piece)
            client.flushall()
    stored = service.rows(
        """SELECT text FROM generation_tokensegment s JOIN generation_job j ON j.id = s.job_id
            WHERE j.kind = 'code' ORDER BY j.created_at DESC, s.seq"""
    )
    assert len(pieces) > 3
    assert "".join(pieces) == "".join(row[0] for row in stored)
