"""From nothing to a first preview: `billing init` and `billing check`."""
