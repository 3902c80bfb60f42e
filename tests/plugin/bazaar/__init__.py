"""A distribution of its own with one plug-in of each kind. No file of Harden knows it."""
