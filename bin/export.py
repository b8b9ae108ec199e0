#!/usr/bin/env python3
"""`camtrap legacy export`, run from a checkout."""

if __name__ == "__main__":
    from _launch import launch

    raise SystemExit(launch("legacy", "export"))
