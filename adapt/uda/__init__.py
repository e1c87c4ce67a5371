"""Unsupervised domain adaptation: a labelled source, an unlabelled target, one network for both."""
