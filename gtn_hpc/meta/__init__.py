"""Stage one: meta-training a teacher, and judging it."""
