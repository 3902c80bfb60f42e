"""The decisions of the trainer, pure: `harden.domain` and mathematics, no torch, no clock, no I/O."""
