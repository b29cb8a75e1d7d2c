"""One module per gRPC service or admin resource: request in, rules applied, store called, response out."""
