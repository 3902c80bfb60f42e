"""The judge's decisions, pure."""
