"""The attacker's decisions, pure."""
