"""Potato and Label Studio: projects written for them, and what people answered there read back."""
