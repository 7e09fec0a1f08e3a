"""Connections to the database file or server, and the state of its tables.

SQLite: write-ahead log, so that readers and the writer do not wait for each other; `synchronous=FULL`, so that what is
committed survives a loss of power; transactions that write start with `BEGIN IMMEDIATE`, so that they queue for the
lock at once and never fail half-way. PostgreSQL: psycopg 3, and an advisory lock per writing transaction. Either way
writers come one after the other, so the numbers of rows grow in the order in which they become visible: whoever has
seen row n will never meet a new row below n. That is what makes a position to resume from.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from arcgym.errors import ConfigError, DatabaseError

HEAD = "0001"
_WRITES = "arcgym_writes"
_LOCK = 0x617263_67796D  # "arcgym": the number that all writers of a PostgreSQL database agree on
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def database_url(location: str | Path) -> URL:
    """The address of a database.

    Args:
        location: Path of an SQLite file, `sqlite:///PATH`, or `postgresql://user:password@host/name`.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(location, Path) or "://" not in location:
        return URL.create("sqlite+pysqlite", database=str(location))
    try:
        url = make_url(location)
    except ArgumentError as exc:
        raise ConfigError(f"{location!r} is no address of a database: {exc}") from exc
    if url.drivername in _POSTGRES:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database:
        return url
    raise ConfigError(
        f"{url.drivername!r} cannot hold solutions. Use the path of an SQLite file, or postgresql://user@host/name."
    )


def open_engine(url: URL, timeout_s: float) -> Engine:
    """Make the engine; nothing is opened before the first connection.

    Args:
        url: From `database_url`.
        timeout_s: How long a transaction waits for those of others.

    Raises:
        ConfigError: The driver is not installed.
    """
    if url.get_backend_name() == "postgresql":
        try:
            engine = create_engine(url, pool_pre_ping=True)
        except (ImportError, NoSuchModuleError) as exc:
            raise ConfigError('PostgreSQL needs psycopg 3: pip install "arcgym[postgres]"') from exc
    else:
        engine = create_engine(url, connect_args={"timeout": timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextlib.contextmanager
def writing(engine: Engine, timeout_s: float) -> Iterator[Connection]:
    """A transaction that writes: alone, committed at the end, undone by an exception.

    Args:
        engine: From `open_engine`.
        timeout_s: How long it waits for its turn.
    """
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            milliseconds = str(max(1, round(timeout_s * 1000)))
            connection.execute(text("SELECT set_config('lock_timeout', :ms, true)"), {"ms": milliseconds})
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection


@contextlib.contextmanager
def translated_errors(url: URL, doing: str) -> Iterator[None]:
    """Raise what goes wrong in the database as `DatabaseError`, without the password and the parameters.

    Args:
        url: Of the database.
        doing: What was tried, as in "solutions cannot be …".
    """
    try:
        yield
    except SQLAlchemyError as exc:
        reason = str(getattr(exc, "orig", None) or exc).strip().splitlines()[0]
        raise DatabaseError(f"{shown(url)}: solutions cannot be {doing}: {reason}") from exc


def shown(url: URL) -> str:
    """How messages name a database: its path, or its address without password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def prepare(engine: Engine, timeout_s: float, *, create: bool) -> None:
    """Bring the tables to the state that this version of arcgym knows, or find that they are.

    Args:
        engine: From `open_engine`.
        timeout_s: How long to wait for other processes that do the same.
        create: Whether a database without tables gets them.

    Raises:
        DatabaseError: There are none and none were to be made, or a newer arcgym made them.
    """
    if engine.dialect.name == "sqlite" and create:
        _use_write_ahead_log(engine, timeout_s)
    with engine.connect() as connection:
        version = _version(connection)
    if version == HEAD:
        return
    if version is None and not create:
        raise DatabaseError(f"{shown(engine.url)} holds no solutions. Name a database that `SolutionDatabase` made.")
    with writing(engine, timeout_s) as connection:
        version = _version(connection)  # another process may have been faster
        if version is not None and version > HEAD:
            raise DatabaseError(
                f"{shown(engine.url)} is of version {version}, this arcgym knows {HEAD}. Use a newer arcgym."
            )
        if version != HEAD:
            upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are still to be run, within the connection's transaction.

    Args:
        connection: In a transaction.
    """
    from alembic import command

    command.upgrade(migrations(connection), "head")


def migrations(connection: Connection) -> Any:
    """The alembic configuration, for its commands and for tests.

    Args:
        connection: What the commands work on.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _use_write_ahead_log(engine: Engine, timeout_s: float) -> None:
    """Switch a fresh file over; SQLite does not wait for others here as it does for a write, so we do."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with engine.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA journal_mode=WAL")
                cursor.close()
            return
        except OperationalError as exc:
            _wait_or_raise(exc, deadline)
        except Exception as exc:  # outside of a statement of SQLAlchemy the driver's own error comes
            if type(exc).__module__ != "sqlite3":
                raise
            _wait_or_raise(OperationalError("PRAGMA journal_mode=WAL", None, exc), deadline)


def _wait_or_raise(exc: OperationalError, deadline: float) -> None:
    if "locked" not in str(exc.orig) or time.monotonic() > deadline:
        raise exc
    time.sleep(0.02)


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`, not by the driver's guess
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
