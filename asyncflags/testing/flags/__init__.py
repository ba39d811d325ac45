"""The flags of the world, drawn by this package itself, and an HTTP origin that serves them."""
