"""Tests of the recorder package."""
