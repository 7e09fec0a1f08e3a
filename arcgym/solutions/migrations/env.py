"""Run the migrations in the transaction that the caller has opened; alembic executes this file."""

from alembic import context

from arcgym.solutions.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
