"""A capture that another process makes is on the page within a second, and so is a notice."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from accounts import tiers
from accounts.models import Organization
from billing import access, balance_watch, notices
from billing.models import Hold
from console import balance_events
from tests.billing.conftest import NOON, UNIT, asking, buy, committed, new_organization

__all__ = ["committed"]  # a fixture
PROJECT = Path(__file__).resolve().parents[2]
CAPTURE = """
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
import django
django.setup()
from django.db import connection
from django.utils import timezone
from billing.settlement import settle
connection.ensure_connection()
print("ready", flush=True)
sys.stdin.readline()
settle(int(sys.argv[1]), outcome="delivered", units_micro=int(sys.argv[2]), quantity=30, subject=sys.argv[3],
       reason_code="delivered", at=timezone.now())
print(time.time(), flush=True)
"""


def holding() -> tuple[Organization, Hold]:
    organization = new_organization("plus")
    buy(organization, 100)
    terms = tiers.terms_for(organization.pk, NOON)
    with transaction.atomic():
        decision = access.decide_and_hold(asking(organization, 500), terms, NOON)
    return organization, decision.hold


def capturer(hold: Hold) -> subprocess.Popen:
    settings = connection.settings_dict
    where = (
        f"{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", CAPTURE, str(hold.pk), str(100 * UNIT), hold.subject],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": f"postgresql://{where}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def following(events, name: str) -> str:
    """The data of the next event with this name."""
    async for one in events:
        if one.startswith(f"event: {name}\n"):
            return one.partition("data: ")[2].strip()
    raise AssertionError("the stream ended")


async def test_a_capture_in_another_process_shows_within_a_second(committed):
    organization, hold = await sync_to_async(holding)()
    process = await sync_to_async(capturer)(hold)
    events = balance_events._changes(organization.pk)
    try:
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        before = await following(events, "balance")
        process.stdin.write("\n")
        process.stdin.flush()
        after = await asyncio.wait_for(following(events, "balance"), 30)
        shown = time.time()
        made = float(await asyncio.to_thread(process.stdout.readline))
    finally:
        await events.aclose()
        process.kill()
        process.communicate()
    assert before != after
    assert shown - made < 1.0


async def test_a_notice_shows_too_and_strangers_hear_nothing(committed):
    organization, stranger = await sync_to_async(lambda: (new_organization(), new_organization()))()
    events = balance_events._changes(organization.pk)
    assert await following(events, "notices") == "0"
    await sync_to_async(notices.tell)(stranger.pk, "low_balance", "1", "Not yours.")
    await sync_to_async(notices.tell)(organization.pk, "low_balance", "1", "Yours.")
    assert await asyncio.wait_for(following(events, "notices"), 10) == "1"
    await events.aclose()


async def test_many_watchers_are_one_query(committed, django_assert_num_queries):
    organizations = await sync_to_async(lambda: [new_organization() for _ in range(3)])()
    ids = [organization.pk for organization in organizations]

    def looked():
        with django_assert_num_queries(1):
            return balance_watch.marks(ids)

    assert await sync_to_async(looked)() == dict.fromkeys(ids, (None, 0))


@pytest.mark.django_db
def test_the_stream_is_for_those_who_are_signed_in(client):
    assert client.get("/balance/events").status_code == 403
