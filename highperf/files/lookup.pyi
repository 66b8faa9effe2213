"""What the file system has for a path; nothing for Python."""
