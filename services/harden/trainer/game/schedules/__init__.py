"""Schedules: which task a game does next, by what has happened. One file each; plug-ins of the group `harden.schedules`."""
