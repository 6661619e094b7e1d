"""A campaign of faults: every command on tiny data, disturbed in one way each, and judged by what it leaves."""
