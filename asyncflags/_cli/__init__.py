"""The shell command. Nothing is imported here, so that each command pays for its own needs alone."""
