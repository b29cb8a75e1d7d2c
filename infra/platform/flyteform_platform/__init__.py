"""What platforms on every cloud share: the foundation that a cloud gives, and the planes that are deployed on it."""
