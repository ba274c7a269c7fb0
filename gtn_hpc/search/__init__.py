"""Scoring populations of architectures with a curriculum: the loop, its algorithms, the certificate."""
