"""The classifier: encoder and heads, calibration, training, evaluation and released weights."""
