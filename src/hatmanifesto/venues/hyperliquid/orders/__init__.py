"""Orders: what the engine asks, batched, signed and sent; what the venue answers, as triggers and reasons."""
