"""Algorithms: which bouts a step wants and how judged bouts become terms, one file each. `ports.py` says what one is."""
