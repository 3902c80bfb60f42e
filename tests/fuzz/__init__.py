"""Bytes from outside are read, or refused with a reason; they never raise another exception."""
