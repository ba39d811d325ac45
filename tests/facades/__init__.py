"""The faces of the engine: the clients and the shell command."""
