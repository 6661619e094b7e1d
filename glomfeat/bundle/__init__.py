"""Bundles: one folder that predicts, written by a study and read without trusting it.

Knows features, heads, reducers and networks, and how each is stored without code; not how a study is run.
"""
