"""The HTTP side: a gateway made from the services' own annotations, signed objects, health and OpenAPI."""
