"""Tools on COCO Camera Traps documents: each takes a `CctDocument` and gives back another, and says what it left out."""
