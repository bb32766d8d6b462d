"""How people reach mien: the command, and later the service and its page."""
