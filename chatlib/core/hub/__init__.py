"""The hub: rooms of a store, for the WebSockets of any app."""
