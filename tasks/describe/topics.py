"""What is asked about each class: how it looks, and how it differs from classes that are easily taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.describe import DescribeParams, LlamaCpp, OpenAI
from tasks.describe.answers import Question
from tasks.describe.grammar import phrases_grammar
from tasks.describe.names import spoken_names
from tasks.describe.prompt import Prompt, read_prompt
from tasks.errors import InputError

# A greedy model would give the same bad answer to another seed.
_RETRY_TEMPERATURE = 0.7

Purpose = Literal["description", "contrast"]


@dataclass(frozen=True)
class Topic:
    """What is asked about one class.

    Attributes:
        class_name: the class as in the data.
        subject: the class as a person would say it.
        purpose: how the class looks, or how it differs from the rest of `group`.
        prompt_hash: hash of the prompt's words.
        others: what an answer may run on into: other classes, the prompt's examples.
        min_phrases: an answer with fewer is asked for again.
        group: class names to be told apart, this one among them; empty for a description.
        first: the question of the first attempt.
    """

    class_name: str
    subject: str
    purpose: Purpose
    prompt_hash: str
    others: frozenset[str]
    min_phrases: int
    group: tuple[str, ...]
    first: Question

    def question(self, attempt: int) -> Question:
        """Each further attempt is asked with another seed, and with a temperature of 0.7 at least."""
        if not attempt:
            return self.first
        return Question(
            subject=self.first.subject,
            system=self.first.system,
            user=self.first.user,
            seed=self.first.seed + attempt,
            temperature=max(self.first.temperature, _RETRY_TEMPERATURE),
            max_tokens=self.first.max_tokens,
            grammar=self.first.grammar,
        )


def description_topics(params: DescribeParams) -> list[Topic]:
    """One topic for every class; none where a file describes them.

    Raises:
        InputError: the prompt cannot be read, or makes no use of a context that is given.
    """
    if params.describer is None or params.prompt is None:
        return []
    maker = _Maker(params, params.describer, read_prompt(params.prompt), "description")
    return [maker.topic(name) for name in params.classes]


def contrast_topics(params: DescribeParams) -> list[Topic]:
    """One topic for every class of every group to contrast.

    Raises:
        InputError: the prompt cannot be read, or makes no use of a context that is given.
    """
    if params.contraster is None or params.contrast_prompt is None:
        return []
    maker = _Maker(params, params.contraster, read_prompt(params.contrast_prompt, contrast=True), "contrast")
    return [maker.topic(name, group) for group in params.contrast for name in group]


class _Maker:
    """Makes the topics of one prompt."""

    def __init__(self, params: DescribeParams, provider: LlamaCpp | OpenAI, prompt: Prompt, purpose: Purpose) -> None:
        if params.context is not None and prompt.context is None:
            raise InputError(
                f"describe.context = {params.context!r}: the {purpose} prompt has no key `context` that would say it, "
                "for instance `context: All photos show {context}.`"
            )
        self._params = params
        self._provider = provider
        self._prompt = prompt
        self._purpose = purpose
        self._spoken = spoken_names(params.classes)

    def topic(self, class_name: str, group: Sequence[str] = ()) -> Topic:
        subject = self._spoken[class_name]
        others = [self._said(name) for name in group if name != class_name]
        return Topic(
            class_name=class_name,
            subject=subject,
            purpose=self._purpose,
            prompt_hash=self._prompt.hash,
            others=frozenset({*self._spoken.values(), *self._prompt.examples()} - {subject}),
            min_phrases=1 if group else self._params.min_descriptions,
            group=tuple(group),
            first=Question(
                subject=subject,
                system=self._prompt.system_message(self._params.context),
                user=self._prompt.user_message(self._said(class_name), others),
                seed=self._provider.seed,
                temperature=self._provider.temperature,
                max_tokens=self._provider.max_tokens,
                grammar=phrases_grammar(subject),
            ),
        )

    def _said(self, class_name: str) -> str:
        """The spoken name with its gloss: "mouse (the pointing device of a computer)"."""
        gloss = (self._params.glosses or {}).get(class_name)
        return f"{self._spoken[class_name]} ({gloss})" if gloss else self._spoken[class_name]
