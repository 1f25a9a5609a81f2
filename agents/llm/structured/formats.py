"""What the formats of JSON schema look like, as regular expressions.

Each describes valid texts only, though not always all of them: second 60 and year 0 are left out,
URLs are http, mail addresses are plain ASCII.
"""

_HOUR_MINUTE = r"([01]\d|2[0-3]):[0-5]\d"
_LOCAL_TIME = rf"{_HOUR_MINUTE}:[0-5]\d(\.\d{{1,6}})?"
_TIME = rf"{_LOCAL_TIME}(Z|[+-]{_HOUR_MINUTE})"
_YEAR = r"(0{3}[1-9]|0{2}[1-9]\d|0[1-9]\d{2}|[1-9]\d{3})"
_LEAP_YEAR = r"((\d\d)(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)"
    rf"|02-(0[1-9]|1\d|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_LABEL = r"[a-z0-9]([a-z0-9]{0,30}(-[a-z0-9]{1,30})?)?"
_DOMAIN = rf"{_LABEL}(\.{_LABEL}){{0,3}}\.([a-z]{{2,3}}|info|online)"
_BYTE = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_HEX = r"[0-9a-f]"
_PATH = r"(/[A-Za-z0-9._~-]{0,60}){0,6}"
_URL = rf"https?://{_DOMAIN}(:[1-9]\d{{0,3}})?{_PATH}(\?[A-Za-z0-9=&._~-]{{0,100}})?"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-VERSION{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}"
_COUNT = r"(0|[1-9]\d{0,3})"
_BASE64 = r"([A-Za-z0-9{0}]{{4}})*([A-Za-z0-9{0}]{{2}}==|[A-Za-z0-9{0}]{{3}}=)?"

STRING_FORMATS: dict[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": rf"{_DATE}T{_TIME}",
    "local-time": _LOCAL_TIME,
    "local-date-time": rf"{_DATE}T{_LOCAL_TIME}",
    "duration": (
        rf"P({_COUNT}D(T({_COUNT}H({_COUNT}M({_COUNT}S)?)?|{_COUNT}M({_COUNT}S)?|{_COUNT}S))?"
        rf"|T({_COUNT}H({_COUNT}M({_COUNT}S)?)?|{_COUNT}M({_COUNT}S)?|{_COUNT}S))"
    ),
    "email": rf"[a-z0-9]+([._+-][a-z0-9]+){{0,4}}@{_DOMAIN}",
    "hostname": _DOMAIN,
    "ipv4": _IPV4,
    "ipv6": rf"{_HEX}{{1,4}}(:{_HEX}{{1,4}}){{7}}",
    "uri": _URL,
    "uri-reference": rf"({_URL}|{_PATH})",
    "uuid": _UUID.replace("VERSION", "[1-5]"),
    "json-pointer": r"(/([^~/]|~[01])*)*",
    "regex": r"[A-Za-z0-9 _]*",
    "base64": _BASE64.format("+/"),
    "base64url": _BASE64.format("_-"),
    "path": r"[A-Za-z0-9._/-]+",
    # Any text is one of these.
    "binary": r"[\s\S]*",
    "password": r"[\s\S]*",
}
STRING_FORMATS |= {f"uuid{n}": _UUID.replace("VERSION", str(n)) for n in range(1, 9)}
STRING_FORMATS |= {
    "idn-email": STRING_FORMATS["email"],
    "idn-hostname": STRING_FORMATS["hostname"],
    "iri": STRING_FORMATS["uri"],
    "iri-reference": STRING_FORMATS["uri-reference"],
    "url": STRING_FORMATS["uri"],
    "byte": STRING_FORMATS["base64"],
    "ip": STRING_FORMATS["ipv4"],
    "ipvanyaddress": STRING_FORMATS["ipv4"],
    "ipvanyinterface": STRING_FORMATS["ipv4"],
    "ipvanynetwork": STRING_FORMATS["ipv4"],
    "ipv4interface": STRING_FORMATS["ipv4"],
    "ipv4network": STRING_FORMATS["ipv4"],
    "ipv6interface": STRING_FORMATS["ipv6"],
    "ipv6network": STRING_FORMATS["ipv6"],
}

NUMBER_FORMATS: dict[str, tuple[int, int] | None] = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
    "float": None,
    "double": None,
    "decimal": None,
}
