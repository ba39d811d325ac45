"""The origins that the other tests rely on."""
