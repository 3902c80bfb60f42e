"""Algorithms: which bouts a step wants and how judged bouts become terms, one file each. `ports.py` has the port."""
