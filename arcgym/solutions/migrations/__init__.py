"""Versions of the database's tables, for alembic; `schema.upgrade` runs them when a database is opened."""
