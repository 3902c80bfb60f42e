"""What a run showed: read from its directory, kept as report.json, and drawn as one page that needs nothing else."""
