"""From a tape to the parameters of a market maker: samples, estimates with their errors, chart, configuration."""
