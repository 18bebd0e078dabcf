"""Grammars (GBNF) that hold a small model in this process to the layout of an answer."""

from __future__ import annotations

import json

PHRASE_LENGTH = 80
# The class comes first: small models copy the prompt's examples otherwise. The dot lets them end a sentence: without it
# SmolLM2 runs on until it is stopped in 85 % of its phrases, with it in a third.
_PHRASES = f"""\
root ::= SUBJECT ":\\n" item item item item item item? item? item?
item ::= "- " [A-Z] [a-zA-Z0-9 ,'()/-]{{8,{PHRASE_LENGTH}}} "."? "\\n"
"""


def phrases_grammar(subject: str) -> str:
    """Five to eight phrases of at most 1 + `PHRASE_LENGTH` letters and a dot, in lines below the subject."""
    return _PHRASES.replace("SUBJECT", json.dumps(subject, ensure_ascii=False), 1)


def phrase_grammar(length: int) -> str:
    """One phrase of at most `length` letters, perhaps a dot, and nothing else."""
    return f'root ::= [a-zA-Z] [a-zA-Z0-9 ,\'()/-]{{2,{length - 1}}} "."? "\\n"\n'
