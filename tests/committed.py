"""For tests of what only shows between connections: everything commits, and is cleared away afterwards.

Django's own way would TRUNCATE, which the append-only tables refuse and which would take the shipped rows along.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections

SHIPPED = (
    "accounts_signuppolicy",
    "accounts_tier",
    "accounts_tierterms",
    "billing_account",
    "billing_billingsettings",
    "billing_creditpack",
    "billing_priceversion",
    "billing_slatarget",
    "console_alarmdefinition",
    "console_incidentsettings",
    "django_content_type",
    "django_migrations",
    "generation_evaluation",
    "generation_fileretention",
    "generation_lane",
    "generation_pool",
    "generation_poolsettings",
    "generation_raiserule",
    "generation_registeredmodel",
    "generation_withdrawalpolicy",
    "safety_goldencase",
    "safety_likenessthreshold",
    "safety_policyversion",
    "safety_promptcategory",
    "safety_reviewer",
    "safety_reviewlimits",
    "safety_reviewpolicy",
    "safety_rule",
    "safety_scanpolicy",
    "safety_textexample",
    "safety_textthreshold",
    "safety_threshold",
)
AS_SHIPPED = """
DELETE FROM accounts_signuppolicy WHERE id > (SELECT min(id) FROM accounts_signuppolicy);
DELETE FROM billing_account WHERE organization_id IS NOT NULL;
UPDATE generation_lane SET tag = 0, organization_virtual_time = 0, recent_gpu_ms = 0, recent_at = NULL;
UPDATE generation_pool SET virtual_time = 0;
DELETE FROM generation_registeredmodel WHERE name = 'pocket-picture';
DELETE FROM generation_evaluation WHERE model_id NOT IN (SELECT id FROM generation_registeredmodel);
DELETE FROM safety_rule WHERE author <> 'Backlot';
"""


@contextmanager
def committed(blocker) -> Iterator[None]:
    """Let a test commit; `blocker` is pytest-django's. Rows are removed behind the triggers' backs at the end."""
    name = connection.settings_dict["NAME"]
    # pytest-django makes the test database only where a collected test is marked django_db: without one, the rows that
    # would be removed here are those of the installation itself.
    assert name.startswith("test_"), (
        f"{name} is no test database: nothing that was collected is marked django_db"
    )
    with blocker.unblock():
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                for table in _with_rows(cursor):
                    cursor.execute(f'DELETE FROM "{table}"')
                cursor.execute(AS_SHIPPED)
                cursor.execute("SET session_replication_role = DEFAULT")
            connections.close_all()


def _with_rows(cursor) -> list[str]:
    """The tables to be emptied that have rows: most have none, and a question for all is far less than one for each."""
    names = [name for name in connection.introspection.table_names(cursor) if name not in SHIPPED]
    one = "SELECT '{0}' WHERE EXISTS (SELECT FROM \"{0}\")"
    cursor.execute(" UNION ALL ".join(one.format(name) for name in names))
    return [name for (name,) in cursor.fetchall()]
