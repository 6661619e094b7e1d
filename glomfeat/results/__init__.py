"""A run read back from its output folder, and every table of it, as pure functions of the journal.

It knows data and metrics but neither features nor models, so that a table can be made where no network is installed.
"""
