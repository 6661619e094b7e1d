"""What can be wrong with a data set (`data`, the audit) and with users' own parts (`parts`, contract tests).

It knows features and models, but neither studies nor results.
"""
