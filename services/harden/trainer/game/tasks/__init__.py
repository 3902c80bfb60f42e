"""Tasks: the things a game does, one file each."""
