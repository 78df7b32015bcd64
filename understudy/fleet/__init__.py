"""Who can work now: dispatch over a chain, one reaction per failure class, rests, and the guard at the send seam."""
