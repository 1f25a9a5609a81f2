"""What language-model agents are asked and what they answer."""

from pydantic import Field

from messaging.message import Message


class GenerationPromptRequest(Message):
    """Ask for a continuation of a prompt; its tokens are emitted as `guild.progress.TextDelta`."""

    generation_prompt: str = Field(min_length=1)


class GenerationPromptResponse(Message):
    """The whole text, without special tokens.

    Attributes:
        generation_prompt: the prompt as it was asked.
        generated_response: the prompt and its continuation, as one text.
    """

    generation_prompt: str
    generated_response: str
