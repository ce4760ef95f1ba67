"""Alembic's entry: runs on the connection that `phorest_ghl.db.migrate` hands over."""

from alembic import context

from phorest_ghl.db.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
