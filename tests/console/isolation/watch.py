"""What a request changed, by the database's own account of it.

PostgreSQL counts the rows that a transaction writes per table, those of savepoints that were undone among them. So one
look tells whether anything at all was written, and only then is it worth reading what.
"""

from dataclasses import dataclass

from django.db import connection

COUNTS = """
SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables
 WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
"""
WITH_ORGANIZATION = """
SELECT table_name FROM information_schema.columns
 WHERE column_name = 'organization_id' AND table_schema = current_schema()
"""
# Rows that are nobody's: what the whole installation shares, and what a browser carries.
SHARED = {"django_session", "generation_lane", "generation_pool", "accounts_user", "accounts_organization"}


class Writes:
    """How often this transaction wrote to each table."""

    def __init__(self) -> None:
        self._counts = _writes()

    def since_last(self) -> set[str]:
        """The tables that were written to since this was asked the last time."""
        before, self._counts = self._counts, _writes()
        return {table for table, count in self._counts.items() if count != before.get(table, 0)}


def _writes() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class Rows:
    """The rows as they stood: the victim's where a table has an organization, all of them elsewhere."""

    organization_id: int
    owned: frozenset[str]
    kept: dict[str, frozenset[str]]

    def changed(self, tables: set[str]) -> set[str]:
        """Of these, the tables where a row of the victim's or of nobody's is gone or other, or the victim's is new."""
        found = set()
        for table in tables - SHARED:
            now = self._read(table)
            before = self.kept.get(table, frozenset())
            if table in self.owned and now != before or not before <= now:
                found.add(table)
        return found

    def _read(self, table: str) -> frozenset[str]:
        return _rows(table, self.organization_id if table in self.owned else None)


def rows_of(organization_id: int) -> Rows:
    """All there is now."""
    with connection.cursor() as cursor:
        cursor.execute(WITH_ORGANIZATION)
        owned = frozenset(name for (name,) in cursor.fetchall())
        tables = [name for name in connection.introspection.table_names(cursor) if name not in SHARED]
    kept = {table: _rows(table, organization_id if table in owned else None) for table in tables}
    return Rows(organization_id, owned, kept)


def _rows(table: str, organization_id: int | None) -> frozenset[str]:
    where = "" if organization_id is None else " WHERE organization_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT t::text FROM "{table}" t{where}', [] if organization_id is None else [organization_id]
        )
        return frozenset(text for (text,) in cursor.fetchall())
