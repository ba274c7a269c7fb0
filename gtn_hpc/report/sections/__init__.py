"""The sections of the page: each a function from the evidence of a run to blocks."""
