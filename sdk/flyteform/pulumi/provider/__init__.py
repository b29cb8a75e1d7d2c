"""The provider: what Pulumi's engine asks, answered by the core of plan and apply."""
