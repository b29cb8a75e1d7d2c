"""Schema migrations, one numbered file each; they run on SQLite and PostgreSQL."""
