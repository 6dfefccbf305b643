"""Rooms of two workers on Redis, by chatlib and by others, at the same work."""
