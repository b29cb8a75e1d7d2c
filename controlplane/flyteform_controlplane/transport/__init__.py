"""How calls come in: one chain of interceptors for every transport, and the gRPC server on top of it."""
