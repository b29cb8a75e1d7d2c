"""Login: clients and their secrets, tokens issued and verified, and whom else to trust."""
