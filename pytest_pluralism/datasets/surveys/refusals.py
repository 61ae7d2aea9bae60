"""Refusals: options that say nothing about the question, such as "Don't know", and the policies for them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, cast, get_args

from pytest_pluralism.core.errors import invalid_parameter

__all__ = [
    "PHRASES_BY_LANGUAGE",
    "REFUSAL_PHRASES",
    "RefusalPolicy",
    "Refusals",
    "check_refusal_policy",
    "detect_refusals",
    "named_refusals",
]

#: The policies for refusals: ``keep`` them as options, ``drop`` them and renormalise, or keep them ``separate``.
RefusalPolicy = Literal["keep", "drop", "separate"]

#: A policy for the options that are found to be refusals, or the options that are refusals, which are dropped.
Refusals = RefusalPolicy | Sequence[str]

#: The phrases that are refusals, by language; the first entry has codes and labels of GSS, WVS, EVS, ESS, ANES, Pew and
#: Eurobarometer. Substantive answers that merely contain such words ("No, I do not know anyone", "Depends") are not.
PHRASES_BY_LANGUAGE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "codes": (
            "dk", "dkna", "ref", "rf", "rfd", "na", "iap", "inap", "inapplicable", "not applicable", "does not apply",
            "not asked", "not asked in survey", "missing", "system missing", "missing value", "not available",
            "other missing", "other missing; multiple answers mail (evs)", "missing; not available",
            "missing; unknown", "missing; other", "unknown", "no data", "not stated", "not answered", "unanswered",
            "not ascertained", "uncodeable", "uncodable", "uncoded", "skip", "skipped", "skipped on web", "web blank",
            "technical error", "interview breakoff", "no post interview", "not in universe",
        ),
        "English": (
            "don't know", "do not know", "dont know", "don t know", "doesn't know", "does not know", "i don't know",
            "i do not know", "didn't know", "did not know", "don't know enough", "don't know enough to say",
            "i don't know enough to say", "don't know this", "no idea", "i have no idea", "not sure", "i'm not sure",
            "i am not sure", "unsure", "i'm unsure", "i am unsure", "not certain", "uncertain", "undecided",
            "i'm undecided", "i am undecided", "haven't decided", "have not decided", "no opinion", "have no opinion",
            "i have no opinion", "has no opinion", "don't have an opinion", "do not have an opinion",
            "i don't have an opinion", "no view", "haven't thought about it", "haven't thought much about it",
            "haven't thought much about this", "have not thought about it", "have not thought much about it",
            "hard to say", "hard to tell", "it is hard to say", "it's hard to say", "difficult to say",
            "it is difficult to say", "can't say", "cannot say", "can not say", "cant tell", "cannot tell",
            "can't choose", "cannot choose", "can not choose", "can't decide", "cannot decide", "no answer",
            "no response", "no reply", "did not answer", "didn't answer", "refuse", "refused", "refuses", "refusal",
            "refuse to answer", "refuses to answer", "refused to answer", "refuse to say", "refused to say",
            "i refuse to answer", "decline", "declined", "decline to answer", "declined to answer", "decline to say",
            "decline to respond", "prefer not to answer", "prefer not to say", "prefer not to respond",
            "prefer not to disclose", "i prefer not to answer", "i prefer not to say", "i'd prefer not to answer",
            "i'd prefer not to say", "i would prefer not to answer", "i would prefer not to say", "rather not say",
            "rather not answer", "i'd rather not say", "i'd rather not answer", "i would rather not say",
            "do not want to answer", "don't want to answer", "do not wish to answer", "don't wish to answer",
            "do not want to say", "don't want to say", "choose not to answer", "chose not to answer",
            "unwilling to answer", "unable to answer", "unable to say", "don't understand the question",
            "do not understand the question",
        ),
        "Spanish": (
            "no sabe", "no sé", "no lo sé", "no sabría decir", "no contesta", "no responde", "no contestó",
            "no respondió", "ns/nc", "ns/nr", "sin respuesta", "sin opinión", "no tiene opinión",
            "no tengo opinión", "no está seguro", "no estoy seguro", "no estoy segura", "prefiero no responder",
            "prefiero no contestar", "prefiere no responder", "prefiere no contestar", "prefiero no decirlo",
            "rehúsa", "rehusó", "rehúsa contestar", "se niega a responder", "se negó a responder", "no aplica",
            "difícil de decir", "no procede",
        ),
        "French": (
            "ne sait pas", "je ne sais pas", "ne sais pas", "nsp", "nspp", "ne se prononce pas", "sans réponse",
            "pas de réponse", "non réponse", "aucune réponse", "refus", "refuse de répondre", "refus de répondre",
            "a refusé de répondre", "ne veut pas répondre", "ne souhaite pas répondre",
            "je préfère ne pas répondre", "préfère ne pas répondre", "sans opinion", "pas d'opinion",
            "n'a pas d'opinion", "je n'ai pas d'opinion", "difficile à dire", "pas sûr", "je ne suis pas sûr",
            "non concerné", "sans objet", "non applicable", "indécis",
        ),
        "German": (
            "weiß nicht", "weiß ich nicht", "ich weiß nicht", "weiß es nicht", "w.n.", "keine angabe",
            "keine angaben", "k.a.", "keine antwort", "antwort verweigert", "verweigert", "verweigerung",
            "keine meinung", "ich habe keine meinung", "habe keine meinung", "unsicher", "bin unsicher",
            "schwer zu sagen", "kann ich nicht sagen", "möchte ich nicht sagen", "möchte nicht antworten",
            "möchte ich nicht beantworten", "will nicht antworten", "unentschlossen", "entfällt",
        ),
        "Italian": (
            "non so", "non sa", "non lo so", "non saprei", "non risponde", "non rispondo", "nessuna risposta",
            "rifiuta", "rifiuto", "rifiuta di rispondere", "preferisco non rispondere",
            "preferisce non rispondere", "senza opinione", "nessuna opinione", "non ho opinione",
            "non sono sicuro", "difficile dirlo", "non applicabile", "indeciso", "indecisa",
        ),
        "Portuguese": (
            "não sabe", "não sei", "não respondeu", "não responde", "não quis responder", "sem resposta",
            "prefiro não responder", "prefere não responder", "prefiro não dizer", "recusa", "recusou",
            "recusou responder", "recusou-se a responder", "sem opinião", "não tem opinião", "não tenho opinião",
            "não tenho certeza", "difícil dizer", "não se aplica",
        ),
        "Dutch": (
            "weet niet", "weet ik niet", "weet het niet", "ik weet het niet", "geen antwoord", "geen opgave",
            "weigert", "weigering", "geweigerd", "wil niet zeggen", "wil ik niet zeggen", "wil niet antwoorden",
            "zeg ik liever niet", "liever niet zeggen", "geen mening", "niet zeker", "moeilijk te zeggen",
            "niet van toepassing", "n.v.t.",
        ),
        "Swedish": (
            "vet ej", "vet inte", "jag vet inte", "ej svar", "inget svar", "vill ej svara", "vill inte svara",
            "vill inte uppge", "ingen åsikt", "ingen uppfattning", "osäker", "svårt att säga", "ej tillämpligt",
        ),
        "Polish": (
            "nie wiem", "nie wie", "trudno powiedzieć", "odmowa", "odmowa odpowiedzi", "odmawiam odpowiedzi",
            "brak odpowiedzi", "brak danych", "nie mam zdania", "brak opinii", "brak zdania",
            "wolę nie odpowiadać", "nie jestem pewien", "nie dotyczy",
        ),
        "Russian": (
            "не знаю", "не знает", "затрудняюсь ответить", "затрудняюсь с ответом", "затрудняюсь",
            "трудно сказать", "отказ", "отказ от ответа", "отказываюсь отвечать", "отказался отвечать",
            "нет ответа", "без ответа", "нет мнения", "не уверен", "не уверена", "предпочитаю не отвечать",
            "не хочу отвечать", "неприменимо", "не применимо",
        ),
        "Turkish": (
            "bilmiyorum", "bilmiyor", "fikrim yok", "fikri yok", "cevap yok", "yanıt yok", "cevap vermedi",
            "cevap vermek istemiyorum", "cevap vermeyi reddetti", "emin değilim", "kararsızım", "kararsız",
        ),
        "Arabic": (
            "لا أعرف", "لا اعرف", "لا أعلم", "لا اعلم", "لا أدري", "لا ادري", "لا يعرف", "رفض الإجابة",
            "رفض الاجابة", "أرفض الإجابة", "أفضل عدم الإجابة", "لا إجابة", "بدون إجابة", "لا رأي", "لا رأي لي",
            "غير متأكد", "لست متأكدا", "لا ينطبق",
        ),
        "Chinese": (
            "不知道", "不清楚", "不确定", "不確定", "说不清", "說不清", "很难说", "很難說", "难说", "难以回答",
            "拒绝回答", "拒絕回答", "拒答", "不愿回答", "不想回答", "未回答", "无回答", "無回答", "没有意见",
            "沒有意見", "无意见", "無意見", "不适用", "不適用",
        ),
        "Japanese": (
            "わからない", "分からない", "わかりません", "分かりません", "無回答", "回答なし", "回答拒否",
            "答えたくない", "回答したくない", "どちらともいえない・わからない", "非該当", "特に意見はない",
        ),
        "Korean": (
            "모름", "모르겠다", "모르겠음", "잘 모르겠다", "잘 모르겠음", "잘 모르겠습니다", "무응답", "응답 거부",
            "응답거부", "응답 거절", "응답거절", "거절", "의견 없음", "해당 없음", "해당없음",
        ),
        "Hindi": (
            "पता नहीं", "मालूम नहीं", "नहीं पता", "कह नहीं सकते", "कुछ कह नहीं सकते", "कोई जवाब नहीं",
            "जवाब नहीं", "उत्तर देने से इनकार", "जवाब देने से इनकार", "कोई राय नहीं", "लागू नहीं",
        ),
    }
)  # fmt: skip

#: All of these phrases.
REFUSAL_PHRASES: frozenset[str] = frozenset(phrase for some in PHRASES_BY_LANGUAGE.values() for phrase in some)

#: Notes of the interviewer, which stand in brackets or before a colon.
NOTES = re.compile(
    r"[(\[]?\b(?:vol(?:unteered)?\b\.?|(?:do not|don[’'`´]?t) read(?: out)?|dnr|spont(?:aneous(?:ly)?)?\b\.?|"
    r"not read(?: out)?|unprompted|(?:ftf|web|phone|mail) only)[\s:;,]*[)\]]?",
    re.IGNORECASE,
)

#: A code before an option ("-9. Refused", "[98] Don't know") or behind it ("Don't know (98)", "DK = 8").
CODE = re.compile(r"^[(\[]?[-+]?\d{1,5}[)\]]?\s*[.):=]?\s+(?=\D)|\s*[=:]?\s*[(\[]?-?\d{1,5}[)\]]?\s*$")

#: The signs and words that stand between two refusals of one option.
BETWEEN = re.compile(r"[/,;:|&+()\[\]–—]|\s-\s|(?<=\bdk)-|\b(?:or|and|oder|und|ou|et|e|o|y|of|en|lub|или|veya)\b")

#: The refusals that are answers where another option is a degree of the same: "Very sure", "Not sure".
DEGREES = re.compile(r"\b(?:sure|certain|confident|decided|sicher|sûre?|segur[oa]|sicuro)\b")
DOUBTS = re.compile(r"\b(?:(?:un)?sure|(?:un)?certain|undecided|unsicher|sur|segur[oa]|sicuro)\b")


def check_refusal_policy(policy: object, /, *, function: str) -> Refusals:
    """Return ``policy`` if it is one of the three, or a list of the options that are refusals, as a tuple.

    Raises
    ------
    InvalidParameterError
        If it is neither.
    """
    if isinstance(policy, str) and policy in get_args(RefusalPolicy):
        return cast("RefusalPolicy", policy)
    if isinstance(policy, (list, tuple)) and policy and all(isinstance(one, str) and one.strip() for one in policy):
        names = tuple(policy)
        if not set(names) & set(get_args(RefusalPolicy)):
            return names
    must = "'keep', 'drop' or 'separate', or a list of the options that are refusals"
    raise invalid_parameter("refusals", function, must, repr(policy))


def named_refusals(options: Sequence[str], names: Sequence[str], /) -> tuple[int, ...]:
    """Return the indices of the options that are named, whatever their case, accents and signs.

    Examples
    --------
    >>> named_refusals(["Yes", "No", "It depends (VOL)", "Don't know"], ["it depends", "pass"])
    (2,)
    """
    wanted = {_words(NOTES.sub(" ", name)) for name in names}
    return tuple(index for index, option in enumerate(options) if _words(NOTES.sub(" ", option)) in wanted)


def detect_refusals(options: Sequence[str], /) -> tuple[int, ...]:
    """Return the indices of the options that are refusals.

    An option is a refusal when its whole text is one of :data:`REFUSAL_PHRASES`, or when each of its parts is
    ("No answer/Don't know", "DK or refused"). Case, accents, apostrophes, full stops, brackets, codes such as ``-9.``
    and notes of the interviewer such as ``(VOL)`` do not matter.
    "Not sure" is an answer where another option is a degree of being sure.

    Parameters
    ----------
    options : sequence of str
        The options of one question.

    Returns
    -------
    tuple of int
        Their indices, ascending; empty when there are none.

    Examples
    --------
    >>> detect_refusals(["Yes", "No", "(Don’t know)", "DK/Ref (VOL)"])
    (2, 3)
    >>> detect_refusals(["Yes, I know someone", "No, I do not know anyone"])
    ()
    >>> detect_refusals(["Very sure", "Fairly sure", "Not sure"])
    ()
    """
    found = [index for index, option in enumerate(options) if _is_refusal(option)]
    others = " / ".join(option.casefold() for index, option in enumerate(options) if index not in found)
    if DEGREES.search(others):
        found = [index for index in found if not DOUBTS.search(_words(options[index]))]
    return tuple(found)


def _is_refusal(option: str) -> bool:
    plain = CODE.sub(" ", NOTES.sub(" ", unicodedata.normalize("NFKC", option)).strip())
    if _words(plain) in _FOLDED:
        return True
    # Slashes inside of an abbreviation do not part it.
    whole = re.sub(r"\b([a-z])/([a-z])\b", r"\1\2", plain.casefold())
    parts = [words for part in BETWEEN.split(whole) if (words := _words(part))]
    return bool(parts) and all(words in _FOLDED or (len(parts) > 1 and words in ("ns", "nc", "nr")) for words in parts)


def _words(text: str) -> str:
    """Return the words of a text without case, accents, apostrophes and signs."""
    folded = unicodedata.normalize("NFD", text.casefold().replace("ı", "i"))
    kept = (sign for sign in folded if unicodedata.category(sign) != "Mn" and sign not in "'’‘`´ʼ′.")
    return " ".join("".join(sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in kept).split())


_FOLDED = frozenset(map(_words, REFUSAL_PHRASES))
