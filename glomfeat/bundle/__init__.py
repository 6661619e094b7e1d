"""Bundles: one folder that predicts, written by a study and read without trusting it.

It knows features, heads, reducers and networks and how each is stored without code, but not how a study is run.
"""
