"""Fuzzing: programs made at random under schedules made at random, and snapshots that somebody has changed."""
