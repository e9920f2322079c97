"""Shared memory between the processes of one host: snapshot rings and message rings."""
