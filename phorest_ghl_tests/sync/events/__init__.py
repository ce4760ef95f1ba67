"""Tests of appointments on their way to calendar events."""
