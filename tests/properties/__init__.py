"""Claims that hold for any input, tried with Hypothesis."""
