"""Demo data: made once, printed at every start, different per installation."""

import stat
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import demo, tiers
from accounts.models import AuditEntry, Membership, Organization, StaffRole, User
from billing import statement

pytestmark = pytest.mark.django_db


def test_one_organization_per_tier_and_a_sign_in_per_role(tmp_path):
    rows = demo.seed(tmp_path)
    now = timezone.now()
    found = {row.slug: tiers.terms_for(row.pk, now).tier_id for row in Organization.objects.all()}
    assert found == {
        "free-demo": "free",
        "plus-demo": "plus",
        "pro-demo": "pro",
        "enterprise-demo": "enterprise",
    }
    assert {membership.role for membership in Membership.objects.all()} == set(Membership.Role.values)
    assert {row.role for row in StaffRole.objects.all()} == set(StaffRole.Role.values)
    assert len(rows) == User.objects.count() == 10
    for row in rows:
        assert User.objects.get(email=row.email).check_password(row.password)
        assert row.email in demo.table(rows)
        assert row.password in demo.table(rows)


def test_the_passwords_are_kept_for_their_owner_alone(tmp_path):
    rows = demo.seed(tmp_path)
    assert stat.S_IMODE(demo.password_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(demo.password_file(tmp_path).parent.stat().st_mode) == 0o700
    assert demo.sign_ins(tmp_path) == rows
    assert len({row.password for row in rows}) == 10


def test_a_second_start_changes_nothing(tmp_path):
    rows = demo.seed(tmp_path)
    entries = AuditEntry.objects.count()
    assert demo.seed(tmp_path) == rows
    assert AuditEntry.objects.count() == entries
    assert Organization.objects.count() == 4


def test_a_password_that_its_person_changed_stays(tmp_path):
    demo.seed(tmp_path)
    user = User.objects.get(email="operator@demo.backlot.local")
    user.set_password("my own choice")
    user.save()
    demo.seed(tmp_path)
    assert User.objects.get(pk=user.pk).check_password("my own choice")


def test_staff_have_an_authenticator_app_whose_code_the_command_shows(settings, tmp_path):
    settings.HOME = tmp_path
    rows = demo.seed(tmp_path)
    secrets = {row.email: row.totp_secret for row in rows if row.totp_secret}
    assert set(secrets) == set(StaffRole.objects.values_list("user__email", flat=True))
    assert stat.S_IMODE(demo.second_factor_file(tmp_path).stat().st_mode) == 0o600
    out = StringIO()
    call_command("demo_code", "operator@demo.backlot.local", stdout=out)
    factor = Authenticator.objects.get(user__email="operator@demo.backlot.local").wrap()
    assert factor.validate_code(out.getvalue().strip())
    with pytest.raises(CommandError):
        call_command("demo_code", "plus-owner@demo.backlot.local")
    kept = factor.instance.data
    demo.seed(tmp_path)
    factor.instance.refresh_from_db()
    assert factor.instance.data == kept
    assert secrets["operator@demo.backlot.local"] not in str(kept)  # it is stored encrypted


def test_two_installations_have_different_passwords_and_a_lost_file_makes_new_ones(tmp_path):
    first = demo.seed(tmp_path / "one")
    second = demo.seed(tmp_path / "two")
    assert not {row.password for row in first} & {row.password for row in second}
    for row in second:
        assert User.objects.get(email=row.email).check_password(row.password)


def test_before_the_demo_data_there_are_no_sign_ins(tmp_path):
    assert demo.sign_ins(tmp_path) == []


def test_the_command_prints_the_sign_ins_and_gives_credit_once(settings, tmp_path):
    settings.HOME = tmp_path
    printed = []
    for _ in range(2):
        out = StringIO()
        call_command("seed_demo", stdout=out)
        printed.append(out.getvalue())
    assert printed[0] == printed[1] == demo.table(demo.sign_ins(tmp_path)) + "\n"
    for organization in demo.ORGANIZATIONS:
        row = Organization.objects.get(slug=organization.slug)
        assert statement.balances(row.pk).promotional_micro == organization.credit_micro
    assert AuditEntry.objects.filter(action="credits.grant").count() == 4
