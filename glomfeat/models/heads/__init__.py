"""Heads: a reduced matrix in, a score out."""
