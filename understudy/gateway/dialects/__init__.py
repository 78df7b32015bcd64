"""The wires clients speak: what a request of each says, and how it is answered."""
