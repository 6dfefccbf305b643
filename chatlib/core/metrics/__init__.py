"""Figures of an app with a hub, for Prometheus."""
