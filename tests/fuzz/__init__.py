"""Bytes that nobody of ours wrote, at every place where bytes come in: refused with a reason, never another exception."""
