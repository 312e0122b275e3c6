"""Chaos: a whole studio with servers of its own, while its parts are killed, filled up and cut off."""
