"""The learner: one policy and its optimiser. It owns encoding, packing, scoring, the backward pass and checkpoints."""
