"""The database: tables as Flyte names them, ports, one adapter per technology, migrations."""
