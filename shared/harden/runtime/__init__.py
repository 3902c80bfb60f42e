"""The worker, the process and the admin port: written once, used by every service."""
