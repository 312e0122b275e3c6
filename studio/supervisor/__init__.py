"""Runs the studio's processes on one machine: start, watch, restart, stop. Plain Python, no Django."""
