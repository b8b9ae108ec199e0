"""What a detector or a person drew around animals: boxes in their several forms, MegaDetector results."""
