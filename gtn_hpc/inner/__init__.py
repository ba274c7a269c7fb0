"""Differentiating through training: inner optimisers, the inner step, and the engines that make meta-gradients."""
