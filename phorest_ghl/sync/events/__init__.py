"""Appointments → calendar events."""
