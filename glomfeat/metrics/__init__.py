"""Numbers from labels and scores, rules that choose thresholds, and how sure a figure is when images come in cases.

It knows nothing but arrays.
"""
