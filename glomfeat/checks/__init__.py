"""What can be wrong: with a data set (`data`, the audit) and with parts of one's own (`parts`, contract tests).

Knows features and models; neither studies nor results.
"""
