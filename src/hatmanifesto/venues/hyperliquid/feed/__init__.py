"""What the venue streams, as market rows and as own events: merged from two sources, watched for age and nonsense."""
