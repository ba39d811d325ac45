"""Tests of what a download does."""
