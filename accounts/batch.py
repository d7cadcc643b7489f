"""Several statements in one round trip, each with a plan that the server keeps for the connection.

Measured on this schema: half of what a small statement costs, on either side, is planning it and one more round trip.
So each is prepared once per connection, and a batch sends one query of EXECUTEs. The server runs them one after
another and each sees what those before it did: a lock that the first one waits for is held before the second reads.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from django.db.transaction import TransactionManagementError
from psycopg.adapt import Transformer

Statement = tuple[str, Sequence[Any]]
Row = TypeVar("Row", bound=models.Model)

# Prepared statements live as long as their connection, whatever becomes of the transaction that prepared them.
_prepared: WeakKeyDictionary[psycopg.Connection, set[bytes]] = WeakKeyDictionary()


def run(statements: Sequence[Statement]) -> list[list[tuple]]:
    """As `read`, inside the caller's database transaction only: what locks or writes belongs to one."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("a batch belongs to a database transaction")
    return read(statements)


def read(statements: Sequence[Statement]) -> list[list[tuple]]:
    """The rows of each statement, none for one that returns none; `%s` marks its parameters, one each.

    Database errors are Django's.
    """
    if not statements:
        return []
    with connection.cursor() as cursor:
        own = connection.connection  # once: Django looks up whose thread it is each time
        known = _prepared.setdefault(own, set())
        names = [_prepare(cursor, known, sql) for sql, _ in statements]
        # psycopg's own literals, without its parser: what is left to fill in are lists of values.
        literal = Transformer(own).as_literal
        cursor.execute(
            b"; ".join(
                b"EXECUTE %b (%b)" % (name, b", ".join(map(literal, params)))
                if params
                else b"EXECUTE " + name
                for name, (_, params) in zip(names, statements, strict=True)
            )
        )
        found = []
        for _ in statements:
            found.append(cursor.fetchall() if cursor.pgresult.nfields else [])
            cursor.nextset()
        return found


def columns(model: type[models.Model], alias: str) -> str:
    """The columns of a whole row by name, for a SELECT that `instance` reads: a later column must not shift them."""
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


def instance(model: type[Row], values: Sequence[Any]) -> Row:
    """The row that was selected with `columns`, as the ORM would have made it."""
    names, converted = _reading(model)
    read = list(values)
    for place, convert in converted:
        read[place] = convert(read[place], None, connection)
    return stored(model, names, read)


def stored(model: type[Row], names: Sequence[str], values: Sequence[Any]) -> Row:
    """A stored row of which these columns were read; any other is read when it is asked for.

    As `Model.from_db` without its walk over all fields and its signals, which nothing here listens to: the twenty-odd
    rows of an admission would be a tenth of its time.
    """
    row = model.__new__(model)
    row._state = ModelState()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    row.__dict__.update(zip(names, values, strict=True))
    return row


@cache
def _reading(model: type[models.Model]) -> tuple[list[str], list[tuple[int, Callable]]]:
    """The names of a model's columns, and those whose values the database's driver doesn't give as they are."""
    fields = model._meta.concrete_fields
    converted = [
        (n, field.from_db_value) for n, field in enumerate(fields) if hasattr(field, "from_db_value")
    ]
    return [field.attname for field in fields], converted


def instances(kinds: Sequence[type[models.Model]], values: Sequence[Any]) -> list[Any]:
    """The rows of several models that were selected side by side, each with `columns`."""
    made, at = [], 0
    for model in kinds:
        width = len(model._meta.concrete_fields)
        made.append(instance(model, values[at : at + width]))
        at += width
    return made


def insertion(row: models.Model) -> Statement:
    """The INSERT of a whole new row, as `save` would write it.

    A constant default of the database's is written out, so that the instance holds it as well; columns that the
    database computes are left to it, and stay unread.
    """
    columns, values = [], []
    for field, plain in _writing(type(row)):
        value = getattr(row, field.attname) if plain else field.pre_save(row, add=True)
        if isinstance(value, DatabaseDefault):
            if not isinstance(value.expression, models.Value):
                continue
            value = value.expression.value
            setattr(row, field.attname, value)
        columns.append(field.column)
        values.append(value if plain else field.get_db_prep_save(value, connection))
    return _insert_into(type(row)._meta.db_table, tuple(columns)), values


# What the driver writes as it is: Django's own preparation changes nothing about a good value of these.
PLAIN = (
    models.CharField,
    models.TextField,
    models.BooleanField,
    models.IntegerField,
    models.FloatField,
    models.ForeignKey,
)


@cache
def _writing(model: type[models.Model]) -> list[tuple[models.Field, bool]]:
    """A model's columns, and whether their values go to the driver as they are."""
    fields = model._meta.concrete_fields
    return [
        (field, isinstance(field, PLAIN) and type(field).pre_save is models.Field.pre_save)
        for field in fields
    ]


@lru_cache(maxsize=256)
def _insert_into(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"


def _prepare(cursor: Any, known: set[bytes], sql: str) -> bytes:
    name = _name(sql)
    if name not in known:
        numbers = itertools.count(1)
        parts = sql.split("%s")
        numbered = parts[0] + "".join(f"${next(numbers)}{part}" for part in parts[1:])
        cursor.execute(f"PREPARE {name.decode()} AS {numbered}")
        known.add(name)
    return name


@lru_cache(maxsize=1024)
def _name(sql: str) -> bytes:
    return b"backlot_" + hashlib.sha256(sql.encode()).hexdigest()[:16].encode()
