"""Members of the panel that need no world and no model."""
