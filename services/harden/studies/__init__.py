"""Studies: one experiment in several versions (arms), over worlds and seeds, compared in pairs."""
