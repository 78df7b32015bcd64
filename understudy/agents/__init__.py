"""Who works: specialists, one file per provider, and the dated catalogue of models, limits and prices."""
