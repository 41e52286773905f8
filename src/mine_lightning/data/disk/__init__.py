"""Pairs in files larger than memory."""
