"""Alembic's entry: runs on the connection it is given, never on an address of its own."""

from alembic import context

from pipeline.control.migrations import VERSION_TABLE
from pipeline.control.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=Base.metadata, version_table=VERSION_TABLE, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
