"""What several suites need: a real platform in processes of its own, and waiting on conditions."""
