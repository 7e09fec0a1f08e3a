import itertools

import pytest
from postgres_server import find_pg_ctl, postgres_server


@pytest.fixture(scope="session")
def postgres_url():
    if find_pg_ctl() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason='psycopg is not installed (pip install "arcgym[postgres]")')
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def fresh_location(request, tmp_path_factory):
    """A function that gives the location of a new, empty database at every call."""
    numbers = itertools.count()
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("solutions")
        return lambda: str(folder / f"{next(numbers)}.db")
    url = request.getfixturevalue("postgres_url")
    import psycopg

    def make_schema():
        name = f"fresh{next(numbers)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{url}?options=-csearch_path%3D{name}"

    return make_schema
