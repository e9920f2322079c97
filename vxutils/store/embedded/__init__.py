"""The embedded stores: SQLite files in the data directory, each written by one process only."""
