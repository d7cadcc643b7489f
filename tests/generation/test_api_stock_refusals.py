"""Each refusal as the stock client sees it: which exception, which code, and whether it tries again by itself.

Whether it would is asked of the client's own rule, so that nothing here waits for a Retry-After.
"""

import uuid
from contextlib import contextmanager

import openai
import pytest

from accounts import keys, tiers
from billing import budgets
from generation.models import Job
from safety.models import Rule
from tests.generation.api_stage import CLIP, CODE, media_folder, tenant
from tests.generation.live import serving

__all__ = ["media_folder"]  # a fixture
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("media_folder", "clean_redis"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


# Of every other code it is invalid_request_error.
TYPES = {
    "server_is_overloaded": "service_unavailable_error",
    "rate_limit_exceeded": "rate_limit_error",
    "concurrency_limit_exceeded": "rate_limit_error",
    "budget_exceeded": "insufficient_quota",
    "credit_balance_exhausted": "insufficient_quota",
    "invalid_api_key": "authentication_error",
    "insufficient_scope": "permission_error",
}
RATE = {f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset")}


@pytest.fixture
def _django_db_helper(committed):
    """The mark makes pytest-django set up the test database; these tests commit, as other connections have to see."""


@pytest.fixture(scope="module")
def address():
    with serving() as found:
        yield found


def _rule(pattern: str) -> Rule:
    """A rule of the text filter, past the check that an operator's rule has to pass."""
    about = {"category": "violence", "kinds": ["clip"], "author": "a test", "reason": "a test"}
    return Rule.objects.bulk_create([Rule(pattern=pattern, **about)])[0]


@contextmanager
def narrow(**limits):
    """Terms with these limits; the server is a thread of this process."""
    own = tiers.read

    def read(*asked):
        terms = own(*asked)
        for name, value in limits.items():
            setattr(terms, name, value)
        return terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiers, "read", read)
        yield


def over_the_rate(client, customer):
    with narrow(requests_per_minute=1):
        for _ in range(2):
            client.videos.create(**CLIP)


def too_many_open(client, customer):
    with narrow(max_open=2):
        for _ in range(3):
            client.videos.create(**CLIP)


def over_budget(client, customer):
    budgets.set_budget(customer.organization.pk, "organization", 0)
    client.videos.create(**CLIP)


def create(**changes):
    return lambda client, customer: client.videos.create(**{**CLIP, **changes})


def complete(**changes):
    return lambda client, customer: client.completions.create(**{**CODE, **changes})


def key_used_twice(client, customer):
    header = {"Idempotency-Key": "one"}
    client.videos.create(**CLIP, extra_headers=header)
    client.videos.create(**{**CLIP, "prompt": "another one"}, extra_headers=header)


def another_tenants(client, customer):
    client.videos.retrieve(f"video_{uuid.uuid4().hex}")


# tier, credit, what is done, exception, status, code, does the client try again by itself
REFUSALS = [
    ("plus", 10**9, over_the_rate, openai.RateLimitError, 429, "rate_limit_exceeded", True),
    ("plus", 10**9, too_many_open, openai.RateLimitError, 429, "concurrency_limit_exceeded", True),
    ("plus", 10**8, over_budget, openai.RateLimitError, 429, "budget_exceeded", False),
    ("enterprise", 0, create(), openai.RateLimitError, 429, "credit_balance_exhausted", False),
    (
        "plus",
        10**8,
        complete(max_tokens=999),
        openai.BadRequestError,
        400,
        "context_length_exceeded",
        False,
    ),
    ("plus", 10**8, create(prompt=""), openai.BadRequestError, 400, "prompt_empty", False),
    ("plus", 10**8, create(size="3840x2160"), openai.BadRequestError, 400, "over_tier_limit", False),
    ("plus", 10**8, complete(max_tokens="x"), openai.UnprocessableEntityError, 422, "invalid_type", False),
    ("plus", 10**8, create(prompt="x" * 13_000_000), openai.APIStatusError, 413, "request_too_large", False),
    ("plus", 10**8, another_tenants, openai.NotFoundError, 404, "not_found", False),
    ("plus", 10**8, key_used_twice, openai.ConflictError, 409, "idempotency_key_reused", False),
]


@pytest.mark.parametrize(
    ("tier", "credit", "ask", "kind", "status", "code", "again"), REFUSALS, ids=[row[5] for row in REFUSALS]
)
def test_each_refusal_is_an_exception_of_its_own(address, tier, credit, ask, kind, status, code, again):
    customer = tenant(tier, credit=credit)
    with openai.OpenAI(base_url=f"{address}/v1", api_key=customer.raw, max_retries=0, timeout=120) as client:
        with pytest.raises(kind) as raised:
            ask(client, customer)
        refused(client, raised.value, status, code, again)


def refused(client: openai.OpenAI, error: openai.APIStatusError, status: int, code: str, again: bool) -> None:
    assert (error.status_code, error.code) == (status, code)
    assert error.type == TYPES.get(code, "invalid_request_error")
    assert error.request_id.startswith("req_")
    rate = {name for name in error.response.headers if name.startswith("x-ratelimit-")}
    assert rate == (RATE if code == "rate_limit_exceeded" else set())
    assert client._should_retry(error.response) is again
    wait = client._parse_retry_after_header(error.response.headers)
    # Where it tries again it waits as long as it is told, which it believes up to two minutes.
    assert (wait is not None and 1 <= wait <= 120) if again else "retry-after" not in error.response.headers


def test_a_wrong_key(address, db):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="bk_" + "x" * 43, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            client.videos.create(**CLIP)
        refused(client, raised.value, 401, "invalid_api_key", False)


def test_a_key_that_may_only_read(address, db):
    customer = tenant("plus")
    _, raw = keys.create(customer.organization, "reads", ["read"], customer.owner)
    with openai.OpenAI(base_url=f"{address}/v1", api_key=raw, max_retries=0) as client:
        assert client.models.retrieve("pocket-code").id == "pocket-code"
        for ask in (create(), complete()):
            with pytest.raises(openai.PermissionDeniedError) as raised:
                ask(client, customer)
            refused(client, raised.value, 403, "insufficient_scope", False)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("pattern", "kind", "status", "code", "again"),
    [
        ("red circle", openai.BadRequestError, 400, "moderation_blocked", False),
        # A stored rule that can't be read: prompts can't be checked, so nothing is admitted.
        ("red (circle", openai.InternalServerError, 503, "server_is_overloaded", True),
    ],
)
def test_the_filter_refuses_or_is_not_there(address, pattern, kind, status, code, again):
    customer = tenant("plus")
    made = _rule(pattern)
    try:
        with openai.OpenAI(base_url=f"{address}/v1", api_key=customer.raw, max_retries=0) as client:
            with pytest.raises(kind) as raised:
                client.videos.create(**CLIP)
            refused(client, raised.value, status, code, again)
    finally:
        made.delete()
    assert not Job.objects.exists()
