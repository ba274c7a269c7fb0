"""Training chosen architectures on real data; the only stage that touches the test split, once an architecture."""
