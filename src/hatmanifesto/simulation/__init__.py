"""The simulated exchange; may touch model only and knows neither engine nor journal."""
