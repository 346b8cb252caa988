"""Statements about a corpus: declared before the look, corrected by labels, tried under other models."""
