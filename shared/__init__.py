"""What every service of Harden shares: the domain, the ports and their adapters, the worker, the arena."""
