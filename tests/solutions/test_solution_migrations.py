import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from solution_strategies import solution
from sqlalchemy import inspect, text

from arcgym.errors import DatabaseError
from arcgym.solutions import SolutionDatabase
from arcgym.solutions.models import Base
from arcgym.solutions.schema import HEAD, migrations, writing


@pytest.fixture
def location(fresh_location):
    location = fresh_location()
    SolutionDatabase(location).close()
    return location


def test_the_migrations_lead_to_the_tables_of_the_models(location):
    with SolutionDatabase(location) as database, database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        found = {column["name"]: column for column in inspect(connection).get_columns("solutions")}
        unique = inspect(connection).get_unique_constraints("solutions")
    columns = Base.metadata.tables["solutions"].columns
    assert {name: column["nullable"] for name, column in found.items()} == {c.name: c.nullable for c in columns}
    assert [constraint["column_names"] for constraint in unique] == [["task_hash", "program_hash"]]


def test_the_newest_migration_is_the_one_that_the_code_expects(location):
    with SolutionDatabase(location) as database, database._engine.connect() as connection:
        assert ScriptDirectory.from_config(migrations(connection)).get_current_head() == HEAD


def test_down_and_up_again(location):
    with SolutionDatabase(location) as database:
        with writing(database._engine, 1.0) as connection:
            command.downgrade(migrations(connection), "base")
            assert not inspect(connection).has_table("solutions")
        with SolutionDatabase(location) as again:
            assert again.add([solution(1)]) == 1


def test_a_migration_that_fails_leaves_nothing_behind(fresh_location, monkeypatch):
    location = fresh_location()
    SolutionDatabase(location).close()
    with SolutionDatabase(location) as database, pytest.raises(RuntimeError):
        with writing(database._engine, 1.0) as connection:
            command.downgrade(migrations(connection), "base")
            raise RuntimeError
    with SolutionDatabase(location, create=False) as database:
        assert database.count() == 0


def test_a_database_of_a_newer_arcgym_is_left_alone(location):
    with SolutionDatabase(location) as database, writing(database._engine, 1.0) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"is of version 9999, this arcgym knows 0001. Use a newer arcgym"):
        SolutionDatabase(location)
