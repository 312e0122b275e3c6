"""The campaign studio."""
