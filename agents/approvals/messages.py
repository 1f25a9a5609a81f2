"""What a desk tells itself later, by its timers."""

from messaging.wire.message import Message


class DeadlinePassed(Message, wire_name="approvals.deadline_passed"):
    """The time to decide about this approval is over."""

    id: str


class ForgetDecided(Message, wire_name="approvals.forget_decided"):
    """Something that was decided has been kept for long enough."""
