"""The learner: one policy, its optimiser and the GRPO step, in torch."""
