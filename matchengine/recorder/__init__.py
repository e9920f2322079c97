"""The recorder: follows the journal, executes it again and tells what happened: rows and messages."""
