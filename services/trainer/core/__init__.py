"""The decisions of the trainer, pure: `shared.domain` and mathematics, no torch, no clock, no I/O."""
