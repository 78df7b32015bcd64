"""Who works: one file per provider, the dated catalogue, the roster of candidates."""
