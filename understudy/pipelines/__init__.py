"""Many tasks: pipelines of steps, and campaigns of half a million calls."""
