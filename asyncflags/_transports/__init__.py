"""The network, behind one small protocol: `base` says what it is, the other modules are it."""
