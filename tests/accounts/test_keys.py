"""API keys: what is stored, what is found, and what a revocation does."""

import hashlib
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts import identity, keys
from accounts.errors import ApiError
from accounts.models import ApiKey, AuditEntry

pytestmark = pytest.mark.django_db


def test_a_new_key_is_found_and_only_its_digest_is_stored(organization, owner):
    key, raw = keys.create(organization, " CI ", ["generate", "read"], owner)
    assert keys.RAW.fullmatch(raw)
    assert len(raw) == 46
    assert (key.name, key.prefix, key.last_four) == ("CI", raw[:7], raw[-4:])
    assert key.digest == hashlib.sha256(raw.encode()).hexdigest()
    assert key.scopes == ["read", "generate"]
    assert keys.find(raw) == key
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM accounts_apikey k")
        stored = cursor.fetchone()[0]
    assert raw not in stored
    assert raw[7:-4] not in stored


def test_the_audit_log_has_the_creation_without_the_key(organization, owner):
    key, raw = keys.create(organization, "CI", ["read"], owner)
    entry = AuditEntry.objects.get(action="api_key.create")
    assert (entry.actor, entry.actor_name, entry.target) == (owner, "owner@example.com", f"api_key:{key.pk}")
    assert entry.organization == organization
    assert raw not in str(entry.after)


@pytest.mark.parametrize(
    "raw", ["", "bk_", "sk-123", "bk_" + "a" * 42, "bk_" + "a" * 44, "bk_" + "é" * 43, "bk_\x00"]
)
def test_what_is_no_key_is_not_found_and_not_looked_up(raw, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert keys.find(raw) is None


def test_a_well_formed_stranger_is_not_found(organization, owner):
    keys.create(organization, "CI", ["read"], owner)
    assert identity.key_caller("bk_" + "a" * 43) is None


def test_a_key_is_its_organization_with_its_own_scopes(organization, owner):
    key, raw = keys.create(organization, "CI", ["read"], owner)
    caller = identity.key_caller(raw)
    assert caller == identity.Caller(organization, None, key, frozenset({"read"}))
    caller.require("read")
    with pytest.raises(ApiError) as refused:
        caller.require("generate")
    assert refused.value.code == "insufficient_scope"


def test_a_revocation_is_in_force_at_the_next_call_and_recorded_once(organization, owner):
    key, raw = keys.create(organization, "CI", ["read"], owner)
    assert keys.revoke(key, owner, "leaked") is True
    assert key.revoked_at is not None
    assert keys.find(raw) is None
    assert keys.revoke(key, owner, "again") is False
    assert [entry.reason for entry in AuditEntry.objects.filter(action="api_key.revoke")] == ["leaked"]


def test_the_database_keeps_a_revoked_key_revoked(organization, owner):
    key, _ = keys.create(organization, "CI", ["read"], owner)
    keys.revoke(key, owner, "leaked")
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=None)


def test_the_database_keeps_a_key_with_its_organization(organization, owner):
    key, _ = keys.create(organization, "CI", ["read"], owner)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_apikey SET digest = %s WHERE id = %s", ["0" * 64, key.pk])


def test_the_database_refuses_a_raw_key_and_an_unknown_scope(organization, owner):
    key, raw = keys.create(organization, "CI", ["read"], owner)
    fields = {"organization": organization, "name": "x", "prefix": "bk_abcd", "last_four": "wxyz"}
    with pytest.raises(IntegrityError, match="api_key_digest_is_sha256"), transaction.atomic():
        ApiKey.objects.create(digest=raw, scopes=["read"], **fields)
    for scopes in [["read", "root"], []]:
        with pytest.raises(IntegrityError, match="api_key_scopes_known"), transaction.atomic():
            ApiKey.objects.create(digest="0" * 64, scopes=scopes, **fields)


@pytest.mark.parametrize(
    ("name", "scopes", "param"),
    [(" ", ["read"], "name"), ("x" * 81, ["read"], "name"), ("x", [], "scopes"), ("x", ["root"], "scopes")],
)
def test_a_bad_name_or_scope_makes_no_key(organization, owner, name, scopes, param):
    with pytest.raises(ApiError) as refused:
        keys.create(organization, name, scopes, owner)
    assert (refused.value.code, refused.value.param) == ("invalid_value", param)
    assert not ApiKey.objects.exists()


def test_use_is_noted_once_a_minute(organization, owner):
    key, raw = keys.create(organization, "CI", ["read"], owner)
    assert key.last_used_at is None
    keys.find(raw)
    key.refresh_from_db()
    first = key.last_used_at
    assert abs(first - timezone.now()) < timedelta(seconds=10)
    keys.find(raw)
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    keys.find(raw)
    key.refresh_from_db()
    assert key.last_used_at >= first


def test_finding_a_key_costs_one_query_within_a_minute(organization, owner, django_assert_num_queries):
    _, raw = keys.create(organization, "CI", ["read"], owner)
    keys.find(raw)
    with django_assert_num_queries(1):
        assert identity.key_caller(raw).organization.slug == organization.slug


def test_the_command_prints_one_key_alone(organization):
    out, err = StringIO(), StringIO()
    call_command("create_api_key", "--organization", "acme-films", "--name", "sample", stdout=out, stderr=err)
    raw = out.getvalue().removesuffix("\n")
    assert keys.RAW.fullmatch(raw)
    assert err.getvalue() == ""
    assert keys.find(raw).scopes == ["read", "generate"]
    assert AuditEntry.objects.get(action="api_key.create").actor_name == "create_api_key command"


def test_the_command_takes_scopes(organization):
    out = StringIO()
    call_command(
        "create_api_key",
        "--organization",
        "acme-films",
        "--name",
        "x",
        "--scopes",
        "read",
        "billing",
        stdout=out,
    )
    assert keys.find(out.getvalue().strip()).scopes == ["read", "billing"]


@pytest.mark.parametrize(("slug", "name"), [("nobody", "x"), ("acme-films", " ")])
def test_the_command_refuses_and_prints_nothing_on_stdout(organization, slug, name):
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("create_api_key", "--organization", slug, "--name", name, stdout=out)
    assert out.getvalue() == ""
    assert not ApiKey.objects.exists()
