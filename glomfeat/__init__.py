"""Compare features and heads for classifying kidney glomeruli, honestly: one harness, split by case."""

__version__ = "0.1.0"
