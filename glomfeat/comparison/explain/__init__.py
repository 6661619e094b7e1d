"""Explanations of a finished study: nearest images, groups of columns, and where networks look."""
