"""A run read back from its output folder, and every table of it: pure functions of the journal.

Knows data and metrics; neither features nor models, so that a table can be made where no network is installed.
"""
