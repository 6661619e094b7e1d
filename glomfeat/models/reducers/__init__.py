"""Reducers: a matrix made smaller, always fitted on the rows that its head learns from."""
