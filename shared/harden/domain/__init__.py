"""Frozen dataclasses and rules that are true in every service. No I/O, no clock, no randomness that is not seeded."""
