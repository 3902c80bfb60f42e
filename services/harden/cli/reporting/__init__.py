"""The report of a run: read from the log, written as report.json and as one self-contained page."""
