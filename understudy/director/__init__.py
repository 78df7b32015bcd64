"""The loop of a task: gate, classify, decide, dispatch, validate, reply; with its budget and its provenance."""
