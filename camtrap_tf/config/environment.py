"""Settings of the look at the machine."""

from __future__ import annotations

from camtrap_tf.config.base import StageConfig


class EnvironmentConfig(StageConfig):
    """Say what this machine can train on, try it, and say what to install."""
