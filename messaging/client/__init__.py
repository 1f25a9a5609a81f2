"""What a caller does: publish, request, follow, watch, replay, and look after dead letters."""
