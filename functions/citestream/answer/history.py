"""The turns before a question: what is left of them, and what a search takes from them where no model is asked.

A follow-up is known by its form: by its beginning ("And …", "What about …"), by words that refer to something ("it",
"they"), by saying next to nothing itself. The lists are of English, German, French and Spanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from citestream.answer.budget import cut, tokens
from citestream.answer.markers import Markers
from citestream.answer.overlap import stems
from citestream.retrieval.words import STOP_WORDS, words

#: So many turns before a question are looked at.
MOST_TURNS = 10
_MOST_CARRIED = 12
# Characters of a turn: a question has no more.
_MOST_READ = 2_000
# A question that holds more terms than that stands on its own, whatever its form.
_MOST_LINKED = 3
_MOST_REFERRING = 4

_LINKS = frozenset("and but or und aber oder auch et mais ou y e pero".split())  # noqa: SIM905
_LINKING = (
    *(("what", "about"), ("how", "about"), ("was", "ist", "mit"), ("wie", "ist", "es", "mit")),
    *(("wie", "sieht", "es"), ("qu", "en", "est", "il"), ("qué", "hay", "de"), ("qué", "pasa", "con")),
)
_REFERRING = frozenset(
    """
    it its they them their theirs he she him her his one ones
    er sie es ihn ihm ihr ihre ihren deren dessen davon dafür damit dazu darüber
    il elle ils elles ça cela celui celle ceux celles leur leurs en
    él ella ellos ellas ello eso lo
    """.split()  # noqa: SIM905
)
_POINTING = frozenset(
    """
    this that these those same other others another else there then
    das dies diese diesen dieser dieses dort andere anderen anderer anderes
    ce cet cette ces là autre autres
    este esta estos estas ese esa esos esas otro otra otros otras
    """.split()  # noqa: SIM905
)
# Words without a topic, beside the stop words that a search knows.
_EMPTY = frozenset(
    """
    also more tell explain please ok okay yes exactly mean means give example details
    wie was wer wo wann warum wieso welche welchen welcher welches ist sind war hat haben der die den dem ein eine
    einen für von mit zu in im an am auf bei nach gilt gibt ich wir man kann muss darf soll und nicht mehr bitte genau
    le la les un une des de du à au aux que qui quoi quel quelle quels quelles est sont combien comment pourquoi quand
    où pour dans avec sur je nous vous on peut doit plus qu
    el los las una del qué cuál cuánto cuánta cuántos cuántas cómo por para con son se su sus cuándo cuando dónde
    puedo puede debe hay tiene más
    """.split()  # noqa: SIM905
)
# What tells which kind of answer is wanted: "how long" asks for another one than "long".
_ASKING_HOW = frozenset("how when wie wann combien quand cuándo cuánto cuánta cuántos cuántas".split())  # noqa: SIM905
_NO_TOPIC = STOP_WORDS | _LINKS | _REFERRING | _POINTING | _EMPTY


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said before a question. Whoever asks has written all of it, what the assistant is to have said, too."""

    role: Literal["user", "assistant"]
    content: str


def recent(turns: Sequence[Turn], question: str) -> tuple[Turn, ...]:
    """The last of the turns, oldest first, without the markers of old answers: their numbers meant other sources.

    Where the turns end with the question itself, it is no turn before it.
    """
    if turns and turns[-1] == Turn("user", question):
        turns = turns[:-1]
    found = (Turn(turn.role, _unmarked(turn)) for turn in turns[-MOST_TURNS:])
    return tuple(turn for turn in found if turn.content)


def fitting(turns: Sequence[Turn], most: int) -> tuple[Turn, ...]:
    """The newest turns, oldest first, that have so many tokens together; the oldest of them is cut to what is left."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        content = cut(turn.content, most, within_sentence=not kept)
        if content:
            kept.append(Turn(turn.role, content))
        if content != turn.content:
            break
        most -= tokens(content)
    return tuple(reversed(kept))


def carried(question: str, history: Sequence[Turn]) -> str:
    """The question; a follow-up together with the terms of what it follows, back to a question that stands alone."""
    terms: list[str] = []
    follow_up = question
    for earlier in reversed([turn.content[:_MOST_READ] for turn in history if turn.role == "user"]):
        if not _leans(follow_up):
            break
        terms += _others(earlier, question)
        follow_up = earlier
    return " ".join([question, *list(dict.fromkeys(terms))[:_MOST_CARRIED]])


def _others(earlier: str, question: str) -> list[str]:
    """The terms of an earlier question that this one lacks.

    Where they share one, the word before it goes, too: "refresh tokens" are asked about in place of "access tokens".
    """
    own = frozenset(stems(question))
    said = words(earlier)
    shared = [not own.isdisjoint(stems(word)) for word in said]
    before_shared = [*shared[1:], False]
    kept = [word for word, *gone in zip(said, shared, before_shared, strict=False) if not any(gone)]
    return [word for word in kept if word in _ASKING_HOW or word not in _NO_TOPIC]


def _unmarked(turn: Turn) -> str:
    if turn.role == "user":
        return turn.content.strip()
    markers = Markers(0)  # of no passages: every marker is made up, and left out
    return (markers.feed(turn.content) + markers.close()).strip()


def _leans(question: str) -> bool:
    """Whether the question can't be understood by itself."""
    said = words(question)
    own = len(_topic(question))
    if own < 2:
        return True
    linked = said[0] in _LINKS or any(tuple(said[: len(each)]) == each for each in _LINKING)
    if linked or not _POINTING.isdisjoint(said):
        return own <= _MOST_LINKED
    return own <= _MOST_REFERRING and not _REFERRING.isdisjoint(said)


def _topic(text: str) -> list[str]:
    return [word for word in dict.fromkeys(words(text)) if word not in _NO_TOPIC]
