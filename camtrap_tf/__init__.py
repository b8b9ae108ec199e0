"""Labelled biodiversity pictures in, a model that answers over HTTP out."""

__version__ = "0.1.0"
