"""Objectives: losses over token log-probs, one file each. `ports.py` has the port."""
