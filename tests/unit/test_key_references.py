"""Where the settings say that keys are kept: what is understood, what is refused, and that nothing is shown of it."""

from __future__ import annotations

import pytest

from citestream.provider_keys import Reference, parse_keys

SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:citestream/llm-AbCdEf"
PARAMETER_ARN = "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/citestream/openai"


@pytest.mark.parametrize(
    ("text", "reference", "shown"),
    [
        ("secretsmanager:citestream", Reference("secretsmanager", "citestream"), "secretsmanager:citestream"),
        (
            "secretsmanager:team/llm#open-ai",
            Reference("secretsmanager", "team/llm", "open-ai"),
            "secretsmanager:team/llm#open-ai",
        ),
        ("ssm:/citestream/openai", Reference("ssm", "/citestream/openai"), "ssm:/citestream/openai"),
        ("ssm:openai:3", Reference("ssm", "openai:3"), "ssm:openai:3"),
        (SECRET_ARN, Reference("secretsmanager", SECRET_ARN), f"secretsmanager:{SECRET_ARN}"),
        (f"{SECRET_ARN}#a=b", Reference("secretsmanager", SECRET_ARN, "a=b"), f"secretsmanager:{SECRET_ARN}#a=b"),
        (PARAMETER_ARN, Reference("ssm", PARAMETER_ARN), f"ssm:{PARAMETER_ARN}"),
    ],
)
def test_references(text: str, reference: Reference, shown: str) -> None:
    assert parse_keys(f"OPENAI_API_KEY={text}") == {"OPENAI_API_KEY": reference}
    assert str(reference) == shown


def test_several_keys_are_separated_by_white_space() -> None:
    assert parse_keys(" A_KEY=ssm:/a \n B_KEY=secretsmanager:b#c ") == {
        "A_KEY": Reference("ssm", "/a"),
        "B_KEY": Reference("secretsmanager", "b", "c"),
    }


def test_no_keys() -> None:
    assert parse_keys(" ") == {}


KEY = "sk-proj-0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (KEY, "item 1 is not VARIABLE=REFERENCE"),
        (f"A_KEY=ssm:/a {KEY}==", "item 2 is not VARIABLE=REFERENCE"),
        (f"={KEY}", "item 1 is not VARIABLE=REFERENCE"),
        ("OPENAI_API_KEY=", "item 1 is not VARIABLE=REFERENCE"),
        (f"OPENAI_API_KEY={KEY}", "the reference of item 1 is none of"),
        (f"OPENAI_API_KEY=vault:{KEY}", "a key itself does not belong here"),
        ("OPENAI_API_KEY=ssm:", "is none of"),
        ("OPENAI_API_KEY=secretsmanager:name#", "is none of"),
        ("OPENAI_API_KEY=arn:aws:s3:eu-central-1:123456789012:secret:x", "is none of"),
        ("OPENAI_API_KEY=arn:aws:ssm:eu-central-1:123456789012:parameter", "is none of"),
        ("A_KEY=ssm:/a A_KEY=ssm:/b", "item 2 names a variable for the second time"),
    ],
)
def test_what_is_refused_is_not_shown(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as error:
        parse_keys(text)
    assert KEY not in str(error.value)
