"""Downloads: lists of URLs or objects in, verified files in a folder out."""
