"""Settings: one frozen pydantic model per stage.

A field is a YAML key, a flag, a help line and an entry of `docs/settings.md`.
"""
