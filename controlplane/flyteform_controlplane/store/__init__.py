"""The database: tables, migrations, and the ports and adapters of what the services keep in it."""
