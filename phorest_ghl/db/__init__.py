"""PostgreSQL: tables, migrations, bulk writes, the embedded server."""
