"""The seam between evaluations and models: rounds of requests, and the engine that gets them answered."""
