"""Tests of where bytes come to rest."""
