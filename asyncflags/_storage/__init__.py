"""Where bytes come to rest. Everything here blocks and is called on a bridge, never on a loop."""
