"""The paper's experiments, computed from the files of a run."""
