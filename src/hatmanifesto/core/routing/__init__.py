"""The maker router that weighs costs: estimates, urgency, queue value, budgets, layers, skew, exits, explanations."""
