"""A day of the whole system against simulated providers, on a virtual clock: what would happen if."""
