"""What a group keeps beside its messages: values, steps, timers; and whose turn a key is."""
