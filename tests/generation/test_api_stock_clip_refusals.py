"""Conformance of the clip calls with the stock client: what each of them raises, and what it sends again by itself."""

import contextlib
import uuid
from datetime import timedelta

import openai
import pytest
from django.core.files.storage import default_storage
from django.db.models import F
from django.db.models.functions import Now

from billing import budgets
from generation.models import Asset, Job
from generation.retention import expiry
from safety.models import Rule
from tests.generation.api_stage import CLIP, media_folder, tenant, withdraw
from tests.generation.stock_clips import (
    ABLE,
    _django_db_helper,
    address,
    delivered,
    film,
    job_of,
    picture,
    plus,
    ready,
)
from tests.generation.test_api_stock_refusals import narrow, refused
from tests.generation.test_input_pictures import able_model

__all__ = ["_django_db_helper", "address", "film", "media_folder", "plus", "ready"]  # fixtures
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder", "clean_redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def create(client, parent):
    return client.videos.create(**CLIP)


def remix(client, parent):
    return client.videos.remix(parent, prompt=CLIP["prompt"])


def extend(client, parent):
    body = {"video": {"id": parent}}
    return client.videos.extend(prompt=CLIP["prompt"], seconds="1", video=openai.omit, extra_body=body)


@contextlib.contextmanager
def ruled(pattern: str):
    about = {"category": "violence", "kinds": ["clip"], "author": "a test", "reason": "a test"}
    made = Rule.objects.bulk_create([Rule(pattern=pattern, **about)])[0]
    try:
        yield
    finally:
        Rule.objects.filter(pk=made.pk).delete()


def no_budget(plus):
    budgets.set_budget(plus.organization.pk, "organization", 0)
    return contextlib.nullcontext()


REFUSED = {
    "moderation_blocked": (lambda plus: ruled("red circle"), openai.BadRequestError, 400, False),
    # A stored rule that can't be read: prompts can't be checked, so nothing is admitted.
    "server_is_overloaded": (lambda plus: ruled("red (circle"), openai.InternalServerError, 503, True),
    "rate_limit_exceeded": (lambda plus: narrow(requests_per_minute=1), openai.RateLimitError, 429, True),
    "concurrency_limit_exceeded": (lambda plus: narrow(max_open=0), openai.RateLimitError, 429, True),
    "budget_exceeded": (no_budget, openai.RateLimitError, 429, False),
}


def test_a_refusal_is_the_same_for_every_call_that_makes_a_clip(ready, plus):
    client, parent = ready
    for code, (made, kind, status, again) in REFUSED.items():
        with made(plus):
            if code == "rate_limit_exceeded":
                with contextlib.suppress(openai.RateLimitError):
                    client.videos.create(**CLIP)
            before = Job.objects.count()
            for ask in (create, remix, extend):
                with pytest.raises(kind) as raised:
                    ask(client, parent)
                refused(client, raised.value, status, code, again)
        assert Job.objects.count() == before, code
    assert not default_storage.exists("inputs") or default_storage.listdir("inputs") == ([], [])


def test_no_credit_is_said_to_every_call(address, film):
    able_model()
    broke = tenant("enterprise", credit=300_000)
    with openai.OpenAI(base_url=f"{address}/v1", api_key=broke.raw, max_retries=0) as client:
        parent = client.videos.create(**ABLE).id
        delivered(parent, film.read_bytes())
        for ask in (create, remix, extend):
            with pytest.raises(openai.RateLimitError) as raised:
                ask(client, parent)
            refused(client, raised.value, 429, "credit_balance_exhausted", False)


def open_clip(client, parent):
    return client.videos.create(**ABLE).id


def withheld(client, parent):
    Asset.objects.filter(job=job_of(parent)).update(withheld_at=Now())
    return parent


def taken_back(client, parent):
    withdraw(job_of(parent))
    return parent


def over(client, parent):
    Job.objects.filter(pk=job_of(parent).pk).update(expires_at=F("finished_at") + timedelta(milliseconds=1))
    expiry.run()
    return parent


def unknown(client, parent):
    return f"video_{uuid.uuid4().hex}"


def download(client, parent):
    return client.videos.download_content(parent)


STATES = [
    (unknown, openai.NotFoundError, 404, "not_found", (download, remix, extend)),
    (open_clip, openai.ConflictError, 409, "not_ready", (download, remix, extend)),
    (withheld, openai.ConflictError, 409, "not_ready", (download, extend)),
    (over, openai.APIStatusError, 410, "content_expired", (download, extend)),
    (taken_back, openai.APIStatusError, 410, "content_withdrawn", (download, remix, extend)),
]


def test_a_clip_that_is_not_there_now_is_one_error_for_every_call(ready):
    client, parent = ready
    for made, kind, status, code, calls in STATES:
        named = made(client, parent)
        before = Job.objects.count()
        for call in calls:
            with pytest.raises(kind) as raised:
                call(client, named)
            refused(client, raised.value, status, code, False)
        assert Job.objects.count() == before
        Asset.objects.update(withheld_at=None)


BAD = [
    (lambda c, p: c.videos.remix(p, prompt=""), openai.BadRequestError, 400, "prompt_empty", "prompt"),
    (
        lambda c, p: c.videos.remix(p, prompt="x", extra_body={"size": "1x1"}),
        openai.BadRequestError,
        400,
        "unsupported_size",
        "size",
    ),
    (
        lambda c, p: c.videos.remix(p, prompt="x", extra_body={"seed": "x"}),
        openai.UnprocessableEntityError,
        422,
        "invalid_type",
        "seed",
    ),
    (
        lambda c, p: c.videos.extend(prompt="x", seconds="99", video=openai.omit, extra_body={"video": p}),
        openai.BadRequestError,
        400,
        "over_tier_limit",
        "seconds",
    ),
    (
        lambda c, p: c.videos.extend(prompt="x", seconds="1", video=b"a film of somebody else"),
        openai.BadRequestError,
        400,
        "invalid_value",
        "video",
    ),
    (
        lambda c, p: c.videos.create(**ABLE, input_reference=b"no picture"),
        openai.BadRequestError,
        400,
        "invalid_image",
        "input_reference",
    ),
    (
        lambda c, p: c.videos.create(**CLIP, input_reference=picture()),
        openai.BadRequestError,
        400,
        "invalid_value",
        "input_reference",
    ),
    (
        lambda c, p: c.videos.extend(prompt="x", seconds="1", video=b"x" * 51_000_000),
        openai.APIStatusError,
        413,
        "request_too_large",
        None,
    ),
    (
        lambda c, p: c.videos.list(after=unknown(c, p)),
        openai.BadRequestError,
        400,
        "invalid_value",
        "after",
    ),
    (lambda c, p: c.videos.list(limit=0), openai.BadRequestError, 400, "invalid_value", "limit"),
    (
        lambda c, p: c.videos.edit(prompt="x", video=b"film"),
        openai.InternalServerError,
        501,
        "not_implemented",
        None,
    ),
    (
        lambda c, p: c.videos.create_character(name="x", video=b"film"),
        openai.InternalServerError,
        501,
        "not_implemented",
        None,
    ),
    (lambda c, p: c.videos.get_character("x"), openai.InternalServerError, 501, "not_implemented", None),
]


def test_bad_input_names_its_field_and_leaves_nothing(ready):
    client, parent = ready
    before = Job.objects.count()
    for call, kind, status, code, param in BAD:
        with pytest.raises(kind) as raised:
            call(client, parent)
        refused(client, raised.value, status, code, False)
        assert raised.value.param == param, code
    assert Job.objects.count() == before


def test_a_key_makes_each_call_safe_to_repeat(ready):
    client, parent = ready
    for ask in (create, remix, extend):
        with_key = client.with_options(default_headers={"Idempotency-Key": ask.__name__})
        assert ask(with_key, parent).id == ask(with_key, parent).id
        with pytest.raises(openai.ConflictError) as raised:
            with_key.videos.create(**{**CLIP, "prompt": "something else"})
        refused(client, raised.value, 409, "idempotency_key_reused", False)


def test_what_passes_is_sent_again_by_the_client_itself_and_then_taken(address, plus, film, monkeypatch):
    """The filter can't be asked at the first try; the client waits as it is told, and the second try is taken once."""
    able_model()
    seen: list[tuple[int, str | None]] = []
    waited: list[float] = []
    monkeypatch.setattr(
        openai.OpenAI, "_sleep_for_retry", lambda client, **about: waited.append(told_to_wait(client, about))
    )

    def note(response) -> None:
        if response.request.method == "POST":
            seen.append((response.status_code, response.headers.get("retry-after")))
            Rule.objects.filter(author="a test").delete()

    http = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    with openai.OpenAI(base_url=f"{address}/v1", api_key=plus.raw, max_retries=2, http_client=http) as client:
        parent = client.videos.create(**ABLE).id
        delivered(parent, film.read_bytes())
        for ask in (create, remix, extend):
            before = Job.objects.count()
            seen.clear()
            with ruled("red (circle"):
                video = ask(client, parent)
            assert video.status == "queued"
            assert [status for status, _ in seen] == [503, 200]
            assert waited.pop() == int(seen[0][1]) >= 1
            assert Job.objects.count() == before + 1


def told_to_wait(client, about) -> float:
    """What the client would have slept, by its own reckoning."""
    left = about["max_retries"] - about["retries_taken"]
    return client._calculate_retry_timeout(left, about["options"], about["response"].headers)


def test_a_wrong_key_is_one_error_for_every_call(address, ready):
    _, parent = ready
    with openai.OpenAI(base_url=f"{address}/v1", api_key="bk_" + "x" * 43, max_retries=0) as client:
        for call in (create, remix, extend, download):
            with pytest.raises(openai.AuthenticationError) as raised:
                call(client, parent)
            refused(client, raised.value, 401, "invalid_api_key", False)
