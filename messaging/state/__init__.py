"""What a group keeps beside its messages: values, steps, timers; and turns at their keys."""
