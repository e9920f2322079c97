"""Stores: where rows and messages are kept. `embedded` needs no server; each other store is an adapter."""
