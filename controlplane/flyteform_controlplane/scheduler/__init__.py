"""Fires the active launch plans' schedules: cron and fixed rate."""
