"""Celery's side: tasks of three lines, the process's life, the schedule."""
