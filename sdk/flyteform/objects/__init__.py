"""The object-store port and its adapters: where inputs, outputs, closures and code bundles lie."""
