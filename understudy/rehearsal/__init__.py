"""The simulated fleet: local servers faithful to the providers' wires, with limits, faults and an injectable clock.

Everything here binds the loopback address only, and every free-text answer begins with "(simulated MODEL)".
"""
