"""Many tasks: pipelines of steps; campaigns of half a million calls, planned before anything is called."""
