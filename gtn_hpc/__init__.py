"""Generative Teaching Networks on clusters: teach, search, train the winners, analyse."""

__version__ = "0.1.0"
