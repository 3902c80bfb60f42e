"""Tasks of a game, one file each."""
