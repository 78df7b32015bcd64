"""Many tasks: campaigns, planned before anything is called."""
