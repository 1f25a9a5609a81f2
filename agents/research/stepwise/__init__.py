"""Long work in steps: a state that leaves with each message, and what its agent does with answers.

work     the state: which steps were asked for, what came back, who waits for the end
asking   asks for steps, ends them as their answers come, and answers all that wait

Nothing is remembered in memory. So the guild may be killed at any moment: what was in flight is
delivered again, what was answered is not asked again, and an answer that comes twice finds its
question gone.
"""
