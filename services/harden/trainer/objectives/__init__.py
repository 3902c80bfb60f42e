"""Objectives: losses over token log-probs, one file each. `ports.py` says what an objective is."""
