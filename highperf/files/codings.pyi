"""Which content coding to send; nothing for Python."""
