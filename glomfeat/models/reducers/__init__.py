"""Reducers, which make a matrix smaller; they are always fitted on the rows that the head learns from."""
