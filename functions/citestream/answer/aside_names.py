"""How lists of sources are headed, in the languages that most answers are in.

Of another language a list goes out, with markers that are right: better than to leave out what is none. So words are
missing, too, that head other lists as well: Belege (receipts), citas (appointments), Nachweise (certificates).
"""

from __future__ import annotations

from typing import Final

_ONE: Final = """
    source, reference, citation, quelle, référence, fuente, referencia, fonte, referência, riferimento, bron, źródło,
    источник
"""
_MANY: Final = """
    sources, references, citations, bibliography, footnotes, works cited, sources cited, sources used, cited sources,
    sources consulted, list of sources, source list, source documents, reference list, list of references,
    quellen, quellenangaben, quellenverzeichnis, quellennachweise, verwendete quellen, referenzen,
    einzelnachweise, literatur, literaturverzeichnis, fußnoten,
    références, sources utilisées, sources citées, bibliographie, liste des sources,
    fuentes, fuentes consultadas, referencias, bibliografía,
    fontes, fontes consultadas, referências, bibliografia,
    fonti, riferimenti, riferimenti bibliografici,
    bronnen, bronvermelding, referenties,
    źródła, источники, список источников, литература,
    来源, 资料来源, 参考来源, 引用来源, 参考资料, 参考文献, 來源, 資料來源, 參考來源, 參考資料, 參考文獻,
    出典, 参考資料, 情報源, 引用元, 参照元, 출처, 참고 문헌, 참고문헌, 참고 자료, 참고자료
"""


def _names(table: str) -> frozenset[str]:
    return frozenset(" ".join(each.split()).casefold() for each in table.split(","))


#: Headings that name one source. With a number on their own line they cite, and are no list.
ALONE: Final = _names(_ONE)
#: All headings, casefolded.
HEADINGS: Final = ALONE | _names(_MANY)
