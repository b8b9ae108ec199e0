"""Boxes in pictures and the files of detectors."""
