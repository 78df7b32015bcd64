"""Who should do it: versioned, pure functions from facts to a decision. Imports the vocabulary and nothing else."""
