"""Operations taken together: the state and the tables that they make one by one, forwards and backwards."""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

from accounts.together import Together


def created() -> list:
    key = ("id", models.BigAutoField(primary_key=True))
    return [
        migrations.CreateModel(name="Shelf", fields=[key]),
        migrations.CreateModel(name="Book", fields=[key, ("pages", models.IntegerField())]),
    ]


def added() -> list:
    shelf = models.ForeignKey("together.shelf", models.CASCADE, related_name="books")
    thick = models.CheckConstraint(condition=models.Q(pages__gt=0), name="together_book_has_pages")
    return [
        migrations.AddField(model_name="book", name="shelf", field=shelf),
        migrations.AddConstraint(model_name="book", constraint=thick),
        migrations.AddIndex(model_name="book", index=models.Index(fields=["pages"], name="together_pages")),
    ]


def run(operations: list) -> ProjectState:
    """Apply them as a migration does, with rendered classes from the beginning."""
    migration = migrations.Migration("0001", "together")
    migration.operations = operations
    state = ProjectState()
    assert state.apps
    with connection.schema_editor(atomic=False) as editor:
        return migration.apply(state, editor)


def tables() -> tuple[list[str], set[str]]:
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, "together_book")
        return [column.name for column in columns], set(
            connection.introspection.get_constraints(cursor, "together_book")
        )


@pytest.mark.django_db
def test_they_make_what_they_make_one_by_one():
    state = run([*created(), Together(added())])
    together, found = state.models, tables()
    book = state.apps.get_model("together", "Book")
    assert book._meta.get_field("shelf").related_model is state.apps.get_model("together", "Shelf")
    assert [
        relation.name for relation in state.apps.get_model("together", "Shelf")._meta.related_objects
    ] == ["books"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE together_book, together_shelf")
    assert run([*created(), *added()]).models == together
    assert tables() == found
    assert found[0] == ["id", "pages", "shelf_id"]
    assert {"together_book_has_pages", "together_pages"} < found[1]


@pytest.mark.django_db
def test_they_are_taken_back_in_the_other_order():
    before = run(created())
    migration = migrations.Migration("0002", "together")
    migration.operations = [Together(added())]
    with connection.schema_editor(atomic=False) as editor:
        migration.apply(before.clone(), editor)
        migration.unapply(before.clone(), editor)
    assert tables()[0] == ["id", "pages"]
