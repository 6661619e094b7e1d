"""Numbers from labels and scores, the rules that choose thresholds, and how sure a figure is when images come in cases.

Knows arrays alone.
"""
