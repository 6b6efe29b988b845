"""The paper's experiments, each measured from what a run has already made."""
