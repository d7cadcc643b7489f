"""Clips of four tiers under a fault every few seconds: none is lost or charged twice, all that should come comes."""

import random

import pytest

from tests.faults.conftest import Service
from tests.faults.soak import SHARES, Plan, Soak, judge

pytestmark = pytest.mark.faults

# Both are long until the smaller one is known to end within two minutes on two cores.
PLANS = [pytest.param(12, 10.0, marks=pytest.mark.long), pytest.param(500, 10.0, marks=pytest.mark.long)]
ATTEMPTS = """SELECT count(*) FROM generation_attempt a JOIN generation_job j ON j.id = a.job_id
               WHERE j.idempotency_key LIKE %s"""


@pytest.mark.parametrize(("clips", "every_s"), PLANS)
def test_soak(service, capsys, clips, every_s):
    plan = Plan(clips=clips, fault_every_s=every_s, seed=random.SystemRandom().randrange(10**6))
    soak = Soak(service, plan, {name: Service(service.live, name) for name in SHARES})
    try:
        soak.run()
        verdict = judge(soak)
    finally:
        with capsys.disabled():
            print(f"\n{summary(soak)}")  # noqa: T201  what a report of the run quotes
        for customer in soak.customers.values():
            customer.close()
    assert len(soak.acknowledged) == clips
    most_redone = verdict.pop("most_redone")
    assert verdict == dict.fromkeys(verdict, [])
    assert most_redone <= 20
    assert sum(soak.faults.values()) >= 3
    assert service.reconciles()


def summary(soak: Soak) -> str:
    (attempts,) = soak.service.row(ATTEMPTS, f"soak-{soak.plan.seed}-%")
    faults = ", ".join(f"{count} {name}" for name, count in sorted(soak.faults.items()))
    return f"soak, seed {soak.plan.seed}: {len(soak.acknowledged)} clips in {attempts} attempts; {faults}"
