"""The operator's command line, one file per noun, and the ring on one machine (`local`)."""
