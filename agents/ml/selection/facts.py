"""What a study knows of its data. Importable without torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["table", "image", "text"]


class Facts(BaseModel):
    """Kind and sizes of a study's data.

    Attributes:
        input_shape: of one sample; empty for texts, whose length is a recipe's to say.
        samples: to learn from and to select by; the test's are apart.
        chance: accuracy of always naming the most common class.
        doubts: sentences on what of the data makes figures look better than they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    input_shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...]
    samples: int
    test_samples: int
    folds: Annotated[int, Field(ge=2)]
    chance: float
    doubts: tuple[str, ...] = ()
