"""Pictures: decoding any kind, and the stored form."""
