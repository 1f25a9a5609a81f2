"""What a small real model is asked, and what is right; the answers are known to be within reach."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.engines import Engine
from agents.llm.structured import grammar_of_type


class Person(BaseModel):
    name: str = Field(max_length=40)
    age: int = Field(ge=0, le=120)
    city: str = Field(max_length=40)


# Some are hard on purpose: an order of its own, a number in words' company, a city named first.
SENTENCES = [
    ("Maria Lopez is 34 years old and lives in Madrid.", "Maria Lopez", 34, "Madrid"),
    ("John Smith, aged 52, works as a baker in London.", "John Smith", 52, "London"),
    ("My neighbour Anna turned 28 last week; she moved to Berlin in May.", "Anna", 28, "Berlin"),
    ("At 71, Kenji Tanaka still runs a bookshop in Osaka.", "Kenji Tanaka", 71, "Osaka"),
    ("Lucy Brown is a 19-year-old student from Dublin.", "Lucy Brown", 19, "Dublin"),
    ("In Paris I met Pierre Martin, who is 45.", "Pierre Martin", 45, "Paris"),
    ("Omar Hassan lives in Cairo. He is 60 years old.", "Omar Hassan", 60, "Cairo"),
    ("The winner was Sofia Rossi, 23, of Rome.", "Sofia Rossi", 23, "Rome"),
    (
        "Peter Novak, a 38-year-old engineer, has his office in Prague.",
        "Peter Novak",
        38,
        "Prague",
    ),
    ("Emma is 7 and goes to school in Boston.", "Emma", 7, "Boston"),
    (
        "Rajesh Kumar celebrated his 50th birthday; he is 50 and lives in Mumbai.",
        "Rajesh Kumar",
        50,
        "Mumbai",
    ),
    ("Grace Kim, who is 31, opened a café in Seoul.", "Grace Kim", 31, "Seoul"),
    ("From Oslo came Lars Hansen, a 66-year-old fisherman.", "Lars Hansen", 66, "Oslo"),
    ("Fatima Ali is a doctor in Nairobi and is 42 years old.", "Fatima Ali", 42, "Nairobi"),
    ("David Cohen (29) lives in Toronto.", "David Cohen", 29, "Toronto"),
    ("The oldest guest, Helen Wright, was 93 and came from Sydney.", "Helen Wright", 93, "Sydney"),
    ("Carlos Silva is 36 years old and plays football in Lisbon.", "Carlos Silva", 36, "Lisbon"),
    ("Vienna is the home of Julia Bauer, 26.", "Julia Bauer", 26, "Vienna"),
    ("A man of 48 called Tom Baker drove from Chicago.", "Tom Baker", 48, "Chicago"),
    ("Nina Petrova, 55 years old, teaches music in Moscow.", "Nina Petrova", 55, "Moscow"),
]
_EXTRACT = "You extract the name, the age and the city of a person from a sentence, as JSON."
_EXAMPLE = ("Paul Green, 30, lives in Athens.", {"name": "Paul Green", "age": 30, "city": "Athens"})


async def extracted(engine: Engine, most: int = len(SENTENCES)) -> list[bool]:
    """For each of the first sentences whether name, age and city are exactly right."""
    sampling = Sampling(do_sample=False, max_new_tokens=60)
    dialogue = Dialogue(engine, sampling, grammar=grammar_of_type(Person))

    async def is_right(sentence: str, *expected: object) -> bool:
        messages = [
            ChatMessage(role="system", content=_EXTRACT),
            ChatMessage(role="user", content=_EXAMPLE[0]),
            ChatMessage(role="assistant", content=json.dumps(_EXAMPLE[1])),
            ChatMessage(role="user", content=sentence),
        ]
        person = (await dialogue.answer(messages)).value
        assert isinstance(person, Person)
        return (person.name, person.age, person.city) == expected

    return await asyncio.gather(*(is_right(*row) for row in SENTENCES[:most]))


def _tool(name: str, description: str, **arguments: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": arguments,
        "required": list(arguments),
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


_WORD = {"type": "string", "maxLength": 30}
_LANGUAGES = ["French", "German", "Spanish", "Italian"]
WEATHER = _tool("get_weather", "The weather in a city.", city=_WORD)
TIMER = _tool("set_timer", "Starts a timer.", minutes={"type": "integer", "minimum": 1})
TRANSLATE = _tool("translate", "Translates a word.", word=_WORD, language={"enum": _LANGUAGES})
CALLS: Sequence[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (WEATHER, "What is the weather in Paris?", {"city": "Paris"}),
    (WEATHER, "Will it rain in London today?", {"city": "London"}),
    (WEATHER, "How warm is it in Madrid?", {"city": "Madrid"}),
    (WEATHER, "Tell me the weather in Tokyo.", {"city": "Tokyo"}),
    (WEATHER, "Is it sunny in Rome?", {"city": "Rome"}),
    (WEATHER, "Do I need an umbrella in Berlin?", {"city": "Berlin"}),
    (WEATHER, "What is the temperature in Chicago?", {"city": "Chicago"}),
    (TIMER, "Set a timer for 10 minutes.", {"minutes": 10}),
    (TIMER, "Wake me in 25 minutes.", {"minutes": 25}),
    (TIMER, "Start a timer of 5 minutes.", {"minutes": 5}),
    (TIMER, "Start a timer for 45 minutes.", {"minutes": 45}),
    (TIMER, "The eggs need 8 minutes.", {"minutes": 8}),
    (TIMER, "Let me know when 30 minutes are over.", {"minutes": 30}),
    (TIMER, "I need a timer for 90 minutes.", {"minutes": 90}),
    (TRANSLATE, "Translate the word water into German.", {"word": "water", "language": "German"}),
    (TRANSLATE, "Translate the word bread into Spanish.", {"word": "bread", "language": "Spanish"}),
    (TRANSLATE, "What is the word house in French?", {"word": "house", "language": "French"}),
    (TRANSLATE, "Translate dog into Italian.", {"word": "dog", "language": "Italian"}),
    (TRANSLATE, "What is the German word for apple?", {"word": "apple", "language": "German"}),
    (
        TRANSLATE,
        "Translate the word friend into French.",
        {"word": "friend", "language": "French"},
    ),
]


async def called(engine: Engine, every: int = 1) -> list[bool]:
    """For every so many requests whether the arguments are those that the tool should get."""
    sampling = Sampling(do_sample=False, max_new_tokens=60)
    found = []
    # One by one: the description is read once for each tool.
    for tool, text, arguments in CALLS[::every]:
        name = tool["function"]["name"]
        dialogue = Dialogue(engine, sampling, tools=[tool], tool_choice=name)
        answer = await dialogue.answer([ChatMessage(role="user", content=text)])
        (call,) = answer.parsed.tool_calls
        assert call.name == name
        found.append(call.arguments == arguments)
    return found


async def said(engine: Engine, *turns: str, max_new_tokens: int = 40) -> str:
    """The answer to the last of these turns of a user and an assistant."""
    sampling = Sampling(do_sample=False, max_new_tokens=max_new_tokens)
    messages = [
        ChatMessage(role="assistant" if number % 2 else "user", content=turn)
        for number, turn in enumerate(turns)
    ]
    return (await Dialogue(engine, sampling).answer(messages)).parsed.text
