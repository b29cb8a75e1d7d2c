"""flyteform: write workflows in Python, and provision them and the platform that runs them."""
