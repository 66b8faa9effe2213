"""Which paths may be looked for; nothing for Python."""
