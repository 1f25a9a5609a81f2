"""What every process of a guild hears beside its topics: answers, cancels, pauses, incidents."""
