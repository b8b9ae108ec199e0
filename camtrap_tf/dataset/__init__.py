"""Datasets: folders of TFRecord shards with a manifest, and how they are built, found and looked at."""
