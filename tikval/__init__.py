"""Which of Schwartz's 19 human values a short video endorses, confronts or leaves absent."""

__version__ = "0.1.0"
