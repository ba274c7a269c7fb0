"""Records, errors, random streams, atomic files, events and the run directory. Imports nothing of ours and no torch."""
